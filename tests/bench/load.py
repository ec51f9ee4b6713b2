"""The load: echo upstream and browsers, one C program on one core (native/)."""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from tests.bench.machine import find
from tests.bench.process import Fault, pinned

if TYPE_CHECKING:
    from tests.bench.peers import Browser

NATIVE = Path(__file__).parent / "native"
CACHE = Path(__file__).parents[2] / ".cache" / "bench"
ABREAST = 64
STORM = 512


@dataclass(frozen=True, slots=True)
class Saturated:
    """`asked` messages went up and `answered` came down within `ns`."""

    asked: int
    answered: int
    ns: int

    @property
    def messages(self) -> int:
        """Messages that the relay relayed: one direction is one message."""
        return self.asked + self.answered


@dataclass(frozen=True, slots=True)
class Paced:
    """Round trips at light load, in ns. `late` were not sent, as the answer before was missing."""

    count: int
    late: int
    p50: int
    p90: int
    p99: int
    max: int


class Load:
    """Speaks to the program on its stdin; every order is answered before the next is given."""

    def __init__(self, core: int) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        self._credentials = tempfile.NamedTemporaryFile("w", prefix="bench-")  # noqa: SIM115
        self._popen = subprocess.Popen(
            [str(build())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
            preexec_fn=pinned(core),  # noqa: PLW1509 - this process has one thread
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._popen.terminate()
        self._popen.wait()
        for stream in (self._popen.stdin, self._popen.stdout, self._errors, self._credentials):
            if stream is not None:
                stream.close()

    def listen(self, count: int) -> list[int]:
        """Open echo upstreams: one port each, so that closed sockets of one do not crowd others."""
        return [int(word.split("=")[1]) for word in self._order(f"listen {count}").split()[1:]]

    def target(self, port: int, browser: Browser) -> None:
        """Say what the browsers dial from now on, and how they speak."""
        header = browser.header.replace(" ", "|") or "-"
        credentials = "-"
        if browser.credentials:
            self._credentials.seek(0)
            self._credentials.truncate()
            self._credentials.write("".join(line + "\n" for line in browser.credentials))
            self._credentials.flush()
            credentials = self._credentials.name
        self._order(
            f"target {port} {browser.path} {header} {credentials}"
            f" {browser.deflate:d} {browser.confirm:d}"
        )

    def speak(self, kind: int) -> str:
        """Let both ends speak another kind of frames (native/speech.c) from now on; its name."""
        return self._order(f"kind {kind}").partition("=")[2]

    def open(self, count: int, timeout: float = 120) -> int:
        """Open that many sessions more, each up to the vendor's greeting. Returns ns."""
        return self._answer(f"open {count} {ABREAST} {_ms(timeout)}", timeout)["ns"]

    def saturate(self, size: int, answers: int, duration: float, timeout: float = 20) -> Saturated:
        """Every session keeps one message outstanding. A duration of 0: one message each."""
        limit = duration + timeout
        order = f"saturate {size} {answers} {_ms(duration)} {_ms(limit)}"
        return Saturated(**self._answer(order, limit))

    def pace(self, size: int, count: int, hertz: int, duration: float, *, probe: int = 0) -> Paced:
        """Send `hertz` messages a second from each of `count` sessions, evenly staggered.

        With a `probe` the first session sends at each so many messages of the others, and its
        round trips alone are taken.
        """
        limit = duration + 10
        return Paced(
            **self._answer(
                f"pace {size} {count} {hertz} {probe} {_ms(duration)} {_ms(limit)}", limit
            )
        )

    def storm(self, count: int, size: int, live: int, hertz: int, timeout: float = 120) -> Paced:
        """Open that many sessions more, many at once, while `live` sessions send as paced ones."""
        found = self._answer(f"storm {count} {STORM} {size} {live} {hertz} {_ms(timeout)}", timeout)
        del found["ns"]
        return Paced(**found)

    def close(self, keep: int = 0, timeout: float = 15) -> None:
        """End sessions properly. Those that the relay leaves hanging, up or down, are a fault."""
        dropped = self._answer(f"close {keep} {_ms(timeout)}", timeout)["dropped"]
        if dropped:
            raise Fault(f"{dropped} sessions were not closed within {timeout:.0f} s")
        self._answer(f"upstreams {keep} {_ms(timeout)}", timeout)

    def drop(self) -> None:
        """End sessions however they end; for after a fault."""
        with contextlib.suppress(Fault):
            self._order("close 0 1000")

    def cpu_ns(self) -> int:
        """CPU time of the load itself."""
        return int(Path(f"/proc/{self._popen.pid}/schedstat").read_text().split()[0])

    def _answer(self, order: str, timeout: float) -> dict[str, int]:
        words = self._order(order, timeout + 5).split()
        return {name: int(value) for name, _, value in (word.partition("=") for word in words[1:])}

    def _order(self, order: str, timeout: float = 10) -> str:
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        told = os.fstat(self._errors.fileno()).st_size
        self._popen.stdin.write(order.encode() + b"\n")
        self._popen.stdin.flush()
        ready, _, _ = select.select([self._popen.stdout], [], [], timeout)
        answer = self._popen.stdout.readline().decode().strip() if ready else ""
        if not answer.startswith("ok"):
            # By position: the program writes through the same offset, behind a buffer's back.
            why = os.pread(self._errors.fileno(), 4096, told).decode(errors="replace").strip()
            raise Fault(f"{order.split(maxsplit=1)[0]}: {answer or 'no answer'}; {why}")
        return answer


def build() -> Path:
    """Compile the program, unless these very sources have been."""
    sources = sorted(NATIVE.glob("*.[ch]"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    program = CACHE / f"load-{digest}"
    if program.exists():
        return program
    CACHE.mkdir(parents=True, exist_ok=True)
    begun = CACHE / f"load-{digest}.{time.monotonic_ns()}"
    code = [str(path) for path in sources if path.suffix == ".c"]
    zlib = ["-lz"] if Path("/usr/include/zlib.h").exists() else []
    done = subprocess.run(
        [find("gcc"), "-std=gnu11", "-O2", "-Wall", "-Wextra", "-o", str(begun), *code, *zlib],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        raise Fault(f"gcc: {done.stderr}")
    begun.rename(program)
    return program


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
