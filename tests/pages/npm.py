"""What the tests take from npm: installed once, by the lock file."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"


class NpmMissingError(Exception):
    """The tests need Node's npm, and say so."""


async def run(*command: str, cwd: Path = HERE) -> tuple[int, str]:
    """Run a command to its end; its status, and what it wrote."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    written, _ = await asyncio.wait_for(process.communicate(), 100)
    return process.returncode or 0, written.decode(errors="replace")


async def install() -> Path:
    """`npm ci`, unless what the lock file names is there already."""
    lock, stamp = HERE / "package-lock.json", MODULES / ".package-lock.json"
    if stamp.exists() and stamp.stat().st_mtime >= lock.stat().st_mtime:
        return MODULES
    if shutil.which("npm") is None:
        raise NpmMissingError("No npm here: install Debian's packages nodejs and npm.")
    status, written = await run("npm", "ci")
    if status != 0:
        raise NpmMissingError(f"npm ci failed in {HERE}:\n{written}")
    return MODULES
