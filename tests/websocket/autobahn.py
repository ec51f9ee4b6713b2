"""Autobahn|Testsuite: found or built, and run in both roles.

It is Python 2 software. A Python 2.7 is looked for on the PATH and under pyenv; the virtualenv is
built once, with gcc, into `.cache/` of the checkout.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

CACHE = Path(__file__).parents[2] / ".cache"
ROOM = CACHE / "autobahn"
VIRTUALENV = "virtualenv==20.15.1"
SUITE = "autobahntestsuite==25.10.1"
MISSING = (
    "Autobahn|Testsuite needs Python 2.7 and gcc. Install them (`pyenv install 2.7.18`, "
    "`apt-get install gcc`) and put python2.7 on the PATH or under PYENV_ROOT."
)
GOOD = frozenset(("OK", "NON-STRICT", "INFORMATIONAL"))
ALL = ("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*", "12.*", "13.*")


class SuiteMissingError(Exception):
    """The suite cannot be had here; the message says what to install."""


def install() -> Path:
    """Give `wstest`, building it where it is not there. Raises SuiteMissingError."""
    CACHE.mkdir(exist_ok=True)
    done = ROOM / "installed"
    with (CACHE / "autobahn.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists() or done.read_text() != SUITE:
            _build(done)
    return ROOM / "bin" / "wstest"


def _build(done: Path) -> None:
    python = next(filter(_runs, _pythons()), None)
    if python is None or shutil.which("gcc") is None:
        raise SuiteMissingError(MISSING)
    tool = CACHE / "autobahn-virtualenv"
    shutil.rmtree(ROOM, ignore_errors=True)
    shutil.rmtree(tool, ignore_errors=True)
    quiet = ("install", "--quiet", "--disable-pip-version-check")
    _call(python, "-m", "pip", *quiet, "--target", str(tool), VIRTUALENV)
    _call(python, "-m", "virtualenv", "--quiet", str(ROOM), PYTHONPATH=str(tool))
    _call(str(ROOM / "bin" / "pip"), *quiet, SUITE)
    done.write_text(SUITE)


def _pythons() -> Iterator[str]:
    if found := shutil.which("python2.7"):
        yield found
    given = os.environ.get("PYENV_ROOT")
    for root in (*([Path(given)] if given else []), Path.home() / ".pyenv"):
        yield from map(str, sorted(root.glob("versions/2.7*/bin/python2.7")))


def _runs(python: str) -> bool:
    """Whether it runs: pyenv's shim is on the PATH even where the version is not chosen."""
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


def _call(*command: str, **env: str) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **env}
    )
    if done.returncode:
        raise SuiteMissingError(f"{MISSING}\n{' '.join(command)} failed:\n{done.stderr[-2000:]}")


async def examine_server(url: str, room: Path, cases: Sequence[str]) -> dict[str, Any]:
    """Run the fuzzing client against a server; gives its verdict of each case.

    What failed is examined once more, by itself: the suite gives a peer a second for its close,
    which on a busy machine may be too short. A fault of the peer's fails again.
    """
    report = await _examine(url, room, cases, timeout=1000)
    doubtful = failed(report)
    if doubtful:
        report |= await _examine(url, room, list(doubtful), timeout=100)
    return report


async def _examine(
    url: str,
    room: Path,
    cases: Sequence[str],
    timeout: float,  # noqa: ASYNC109
) -> dict[str, Any]:
    spec = {
        "outdir": str(room / "report"),
        "servers": [{"agent": "lane", "url": url}],
        "cases": list(cases),
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }
    (room / "spec.json").write_text(json.dumps(spec))
    process = await _wstest(room, "-m", "fuzzingclient", "-s", "spec.json")
    try:
        async with asyncio.timeout(timeout):
            await process.wait()
    finally:
        await _end(process)
    return verdicts(room, "lane")


@asynccontextmanager
async def fuzzing_server(room: Path, cases: Sequence[str]) -> AsyncIterator[int]:
    """Run the fuzzing server; gives its port."""
    port = free_port()
    spec = {
        "url": f"ws://127.0.0.1:{port}",
        "outdir": str(room / "report"),
        "cases": list(cases),
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }
    (room / "spec.json").write_text(json.dumps(spec))
    process = await _wstest(room, "-m", "fuzzingserver", "--webport", "0", "-s", "spec.json")
    try:
        await listening(port, process)
        yield port
    finally:
        await _end(process)


async def listening(port: int, process: asyncio.subprocess.Process) -> None:
    """Wait until somebody listens there."""
    async with asyncio.timeout(60):
        while True:
            assert process.returncode is None, "the program ended before it listened"
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                await writer.wait_closed()
                return


def verdicts(room: Path, agent: str) -> dict[str, Any]:
    """Read what the suite wrote."""
    found: dict[str, Any] = json.loads((room / "report" / "index.json").read_text())[agent]
    return found


def failed(report: dict[str, Any]) -> dict[str, Any]:
    """The cases that did not pass; compression (12 and 13) is not offered, and so not tried."""
    return {
        case: (verdict["behavior"], verdict["behaviorClose"])
        for case, verdict in report.items()
        if not (
            {verdict["behavior"], verdict["behaviorClose"]} <= GOOD
            or (verdict["behavior"] == "UNIMPLEMENTED" and case.startswith(("12.", "13.")))
        )
    }


async def _wstest(room: Path, *arguments: str) -> asyncio.subprocess.Process:
    command = await asyncio.to_thread(install)
    with (room / "log").open("w") as log:
        return await asyncio.create_subprocess_exec(
            str(command), *arguments, cwd=room, stdout=log, stderr=log
        )


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    await process.wait()
