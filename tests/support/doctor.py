"""`python -m app doctor`, run as an operator does."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from tests.support.process import ROOT, clean_environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


async def run_doctor(
    *arguments: str, environment: Mapping[str, str], secrets: Iterable[str], within: float = 100
) -> tuple[int, str]:
    """Its exit status and what it said, in which none of the secrets is."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app", "doctor", *arguments),
        env={**clean_environment(), **environment},
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(within):
        said, _ = await process.communicate()
    text = said.decode()
    for secret in secrets:
        assert secret not in text
    return process.returncode or 0, text
