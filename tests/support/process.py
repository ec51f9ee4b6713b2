"""A process of a test's own, with its log, which may hold no secret."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from tests.support.canary import reveals_nothing
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]


def clean_environment() -> dict[str, str]:
    """This process's environment without any of the gateway's variables, and of pytest's."""
    ours = ("RELAY_", "OTEL_", "PYTEST_")
    return {k: v for k, v in os.environ.items() if not k.startswith(ours)}


async def answers_ok(url: str) -> bool:
    """Whether a GET of an `http` URL is answered with 200 now.

    A server that starts is asked dozens of times: a refused attempt takes 0.1 ms of CPU time here,
    and 2 ms with httpx, which the process that starts does not get.
    """
    at = urlsplit(url)
    request = f"GET {at.path} HTTP/1.1\r\nHost: {at.netloc}\r\nConnection: close\r\n\r\n"
    try:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(at.hostname, at.port)
            try:
                writer.write(request.encode())
                answer = await reader.read()
            finally:
                writer.close()
    except OSError:  # and TimeoutError
        return False
    return answer.startswith(b"HTTP/1.1 200 ")


class Running:
    """A process of ours with its log. End it by `stop`, or `kill` it.

    Its log is searched for `secrets` when it is over; tests add what they hand to it.
    """

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        self.secrets: dict[str, str] = {}
        self._arguments = arguments
        self.environment = environment
        self._reading: asyncio.Task[None] | None = None
        self._lines: list[str] = []
        self.process: Process | None = None

    async def start(self) -> Self:
        """Start it; `log` grows from now on."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            *self._arguments,
            env=self.environment,
            cwd=ROOT,
            stdout=PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._reading = asyncio.create_task(self._read())
        return self

    async def _read(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self._lines.append(line.decode(errors="replace"))

    async def answers(self, url: str, *, within: float) -> None:
        """Wait until it answers a GET with 200, for so many seconds at most."""
        assert self.process is not None

        async def answered() -> bool:
            if self.process is None or self.process.returncode is not None:
                raise AssertionError(f"it ended by itself:\n{self.log}")
            return await answers_ok(url)

        await until(answered, within=within, every=0.03)

    @property
    def log(self) -> str:
        """Everything it has written."""
        return "".join(self._lines)

    def lines(self, event: str | None = None, **fields: Any) -> list[dict[str, Any]]:
        """The structured lines of its log that have this event and these fields."""
        wanted = fields if event is None else {"event": event, **fields}
        found = [json.loads(line) for line in self._lines if line.startswith("{")]
        return [line for line in found if wanted.items() <= line.items()]

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process is not None
        return self.process.pid

    @property
    def descriptors(self) -> int:
        """How many file descriptors it holds."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    @property
    def resident(self) -> int:
        """Its resident memory, in bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) * 1024

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    async def ended(self, within: float = 30.0) -> int:
        """Wait for its end; return its exit status."""
        assert self.process is not None
        async with asyncio.timeout(within):
            status = await self.process.wait()
            if self._reading is not None:
                await self._reading
        reveals_nothing(f"the log of {' '.join(self._arguments[:3])}", self.log, self.secrets)
        return status

    async def stop(self) -> int:
        """SIGTERM, and wait, but not for conversations that a test has left behind."""
        assert self.process is not None
        if self.process.returncode is None:
            self.signal(signal.SIGTERM)
        hurrying = asyncio.create_task(self._hurry(len(self._lines)))
        try:
            return await self.ended()
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self.ended()
            raise AssertionError(f"it did not end on SIGTERM:\n{self.log[-4000:]}") from None
        finally:
            hurrying.cancel()

    async def _hurry(self, since: int) -> None:
        """SIGTERM again, but only while its log says that it drains: it ends what is left then."""
        assert self.process is not None
        while self.process.returncode is None:
            said = "".join(self._lines[since:])
            if "drained" in said:
                return
            if "draining" in said:
                self.signal(signal.SIGTERM)
            await asyncio.sleep(0.05)

    async def kill(self) -> None:
        """SIGKILL, and wait."""
        assert self.process is not None
        if self.process.returncode is None:
            self.signal(signal.SIGKILL)
        await self.ended()
