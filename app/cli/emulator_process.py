"""The emulator as a process beside this one, by this interpreter."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

START_WITHIN: Final = 30.0
END_WITHIN: Final = 10.0


def emulator_command() -> tuple[list[str], dict[str, str]]:
    """The emulator's command line and environment: this package's, not the working directory's."""
    home = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))
    return [sys.executable, "-P", "-m", "app.emulator"], {**os.environ, "PYTHONPATH": path}


@asynccontextmanager
async def emulator(key: str) -> AsyncIterator[str]:
    """Run an emulator on a free port for the time of a block; yields its `ws://` URL."""
    command, environment = emulator_command()
    process = await asyncio.create_subprocess_exec(
        *command, "--port", "0", "--api-key", key, "--pace", "0", "--quiet",
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for this process, which ends it
    )  # fmt: skip
    try:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        async with asyncio.timeout(START_WITHIN):
            url = (await process.stdout.readline()).decode().strip()
        if not url:
            raise RuntimeError("the emulator did not start")
        yield url
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(END_WITHIN):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
