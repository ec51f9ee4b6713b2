"""`/metrics` of all workers: a scrape reaches one of them, which asks the others.

Each worker answers on a Unix socket of its own. What was said last of each is kept in a file, so
that counters do not fall when a worker dies: the supervisor adds its last word to `ENDED`.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from app.telemetry.exposition_sum import ExpositionSum

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
    from pathlib import Path

ENDED: Final = "ended.prom"
SUPERVISOR: Final = "supervisor.prom"
TIMEOUT: Final = 2.0
"""Seconds for all others to answer: one that does not is left out, by its last word."""
MAX_INCLUDED: Final = 50
MAX_TEXT: Final = 16 << 20
_INCLUDED: Final = "# INCLUDES "


def socket_of(directory: Path, pid: int) -> Path:
    """Where a worker answers."""
    return directory / f"worker-{pid}.sock"


def last_word_of(directory: Path, pid: int) -> Path:
    """What a worker said last."""
    return directory / f"worker-{pid}.prom"


def fold(directory: Path, pid: int) -> None:
    """Add what an ended worker said last to what all ended ones did. For the supervisor alone."""
    with suppress(FileNotFoundError):
        socket_of(directory, pid).unlink()
    word, ended = last_word_of(directory, pid), directory / ENDED
    text, before = _read(word), _read(ended)
    total = ExpositionSum()
    total.add(before, ended=True)
    total.add(text, ended=True)
    included = [*_included(before), pid][-MAX_INCLUDED:]
    _write(ended, f"{_INCLUDED}{' '.join(map(str, included))}\n{total.text()}")
    with suppress(FileNotFoundError):
        word.unlink()


def write_supervisor(directory: Path, restarted: int, refused: int) -> None:
    """Say what no worker can count: workers that were started again, refused reloads."""
    text = (
        "# HELP relay_worker_restarts_total Workers that had died and were started again.\n"
        "# TYPE relay_worker_restarts_total counter\n"
        f"relay_worker_restarts_total {restarted}\n"
        "# HELP relay_config_reloads_total Reloads of agents and tenants.\n"
        "# TYPE relay_config_reloads_total counter\n"
        f'relay_config_reloads_total{{outcome="refused"}} {refused}\n'
    )
    _write(directory / SUPERVISOR, text)


class WorkerMetrics:
    """One worker's part. `own` gives its own text; `greatest` as for `ExpositionSum`.

    `timeout` is in seconds.
    """

    def __init__(
        self,
        directory: Path,
        own: Callable[[], Awaitable[bytes]],
        greatest: Iterable[str],
        *,
        timeout: float = TIMEOUT,
    ) -> None:
        self._timeout = timeout
        self._directory = directory
        self._own = own
        self._greatest = tuple(greatest)

    @asynccontextmanager
    async def answering(self) -> AsyncIterator[None]:
        """Answer the others for the time of a block; the socket also says that this one serves."""
        path = socket_of(self._directory, os.getpid())
        server = await asyncio.start_unix_server(self._answer, str(path))
        try:
            yield
        finally:
            server.close()
            with suppress(FileNotFoundError):
                path.unlink()

    async def exposition(self) -> bytes:
        """The text of all workers."""
        found = {os.getpid(): (await self._own()).decode()}
        paths = await asyncio.to_thread(lambda: list(self._directory.glob("worker-*.sock")))
        others = [pid for path in paths if (pid := _pid_of(path)) not in found]
        said = zip(others, await self._ask(others), strict=True)
        found.update((pid, text) for pid, text in said if text is not None)
        return await asyncio.to_thread(self._sum, found)

    async def _ask(self, pids: list[int]) -> list[str | None]:
        return await asyncio.gather(*(self._ask_one(pid) for pid in pids))

    async def _ask_one(self, pid: int) -> str | None:
        try:
            async with asyncio.timeout(self._timeout):
                reader, writer = await asyncio.open_unix_connection(
                    str(socket_of(self._directory, pid)), limit=MAX_TEXT
                )
                try:
                    return (await reader.read(-1)).decode()
                finally:
                    writer.close()
        except (OSError, TimeoutError, UnicodeDecodeError):
            return None

    def _sum(self, found: dict[int, str]) -> bytes:
        total = ExpositionSum(self._greatest)
        for pid, text in sorted(found.items()):
            total.add(text)
            _write(last_word_of(self._directory, pid), text)
        # In this order: a last word that is folded meanwhile is in one of both, and known as such.
        silent = {
            pid: _read(path)
            for path in self._directory.glob("worker-*.prom")
            if (pid := _pid_of(path)) not in found
        }
        ended = _read(self._directory / ENDED)
        for pid in _included(ended):
            silent.pop(pid, None)
        total.add(ended, ended=True)
        for text in silent.values():
            total.add(text, ended=True)
        total.add(_read(self._directory / SUPERVISOR))
        return total.text().encode()

    async def _answer(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                writer.write(await self._own())
                await writer.drain()
        except (OSError, TimeoutError):
            writer.transport.abort()
        finally:
            writer.close()


def _included(ended: str) -> list[int]:
    """The ended workers that were folded last."""
    line = ended.partition("\n")[0]
    return [int(word) for word in line.removeprefix(_INCLUDED).split() if word.isdecimal()]


def _pid_of(path: Path) -> int:
    number = path.stem.removeprefix("worker-")
    return int(number) if number.isdecimal() else 0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _write(path: Path, text: str) -> None:
    """Replace a file as a whole; a full disk loses counters, and nothing else."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        new.write_text(text)
        new.replace(path)
    except OSError:
        with suppress(OSError):
            new.unlink()
