"""Runs tests that prove a promise, in a process of their own, and counts them by name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.proof.report import ROOT, machine
from tests.support.gateway import clean_environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.proof.report import Bound, Result


TEARDOWN: Final = 60.0
"""Seconds that interrupted tests have to end what they started."""


def run(tests: Sequence[str], seconds: float, result: Result, bound: Bound | None = None) -> None:
    """Run tests within some seconds; each that does not pass is a loss, a skipped one, too.

    Where the bound is stopped meanwhile, they are interrupted, and prove nothing.
    """
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.xml"
        options = ["-q", "-p", "no:cacheprovider", f"--junit-xml={report}", "-m", ""]
        if machine()["build"] == "compiled":
            options.append("--build=compiled")
        environment = clean_environment() | {"PATH": os.environ["PATH"]}
        status, printed = _pytest([*options, *tests], environment, seconds, bound)
        if status is None and bound is not None and bound.stopped.is_set():
            result.notes.append(f"interrupted: {' '.join(tests)}")
            return
        if status is None:
            result.unfinished.append(f"not within {seconds:.0f} s: {' '.join(tests)}")
            return
        if not report.exists():
            result.lose(f"pytest ended with {status}: {printed[-300:]}")
            return
        before = result.lost
        _count(report, result)
        if status and result.lost == before:
            result.lose(f"pytest ended with {status}: {printed[-300:]}")


def _pytest(
    arguments: Sequence[str], environment: dict[str, str], seconds: float, bound: Bound | None
) -> tuple[int | None, str]:
    """Run pytest; its exit status and what it printed, or None if it was not over in time.

    It is interrupted then, so that fixtures end the gateways and stores that they started.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # it is interrupted by us alone
    ) as process:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not (bound and bound.stopped.is_set()):
            try:
                printed, _ = process.communicate(timeout=min(0.5, seconds))
            except subprocess.TimeoutExpired:
                continue
            return process.returncode, printed
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=TEARDOWN)
        except subprocess.TimeoutExpired:
            process.kill()
        return None, ""


def _count(report: Path, result: Result) -> None:
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314 - pytest's own
        name = f"{case.get('classname', '')}::{case.get('name')}"
        failure = next(
            (
                case.find(kind)
                for kind in ("failure", "error", "skipped")
                if case.find(kind) is not None
            ),
            None,
        )
        if failure is None:
            result.add("tests passed")
        else:
            result.lose(f"{name}: {failure.tag}: {failure.get('message', '')[:300]}")
