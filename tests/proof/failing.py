"""Runs what asserts its promise while it runs: a failure is a loss, in its own words."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.proof.report import Result


def attempt(
    what: Callable[[Path], Awaitable[dict[str, float]]], result: Result, seconds: float
) -> None:
    """Run it in a directory of its own, within some seconds, and add what it made."""

    async def bounded(directory: Path) -> dict[str, float]:
        async with asyncio.timeout(seconds):
            return await what(directory)

    with tempfile.TemporaryDirectory(prefix="relay-proof-") as directory:
        try:
            for name, number in asyncio.run(bounded(Path(directory))).items():
                result.add(name, number)
        except TimeoutError:
            result.unfinished.append(f"not over within {seconds:.0f} s")
        except (AssertionError, OSError) as error:
            result.lose(f"{type(error).__name__}: {str(error)[:1000]}")
        except BaseExceptionGroup as group:
            for each in group.exceptions:
                result.lose(f"{type(each).__name__}: {str(each)[:1000]}")
