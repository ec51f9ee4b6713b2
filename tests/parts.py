"""Runs make's targets one after the other, and sums up what their tests came to.

    python tests/parts.py [--set-up TARGET] TARGET...

It says first what it runs and about how long that takes. A target that fails keeps none of the
following from running; a set-up that fails does. A target that runs pytest is counted by its JUnit
report, any other as one. The last line has the form of pytest's closing line. Exit status: 0, 1 if
anything failed, 130 after an interrupt. Standard library only: nothing is installed when it begins.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

REPORTS: Final = Path(".cache/parts")
SECONDS: Final = Path(".cache/parts.json")
# Seconds on two cores, where nothing has run yet; afterwards the last run's are told.
USUAL: Final = {
    "check": 20,
    "check-and-build": 60,
    "test-source": 410,
    "test-compiled": 150,
    "test-replicas": 190,
    "test-bench": 26,
    "python-3.11": 930,
    "python-3.12": 930,
    "python-3.13": 930,
    "nightly-source": 3600,
    "nightly-compiled": 1200,
}
SHOWN_FAILURES: Final = 30
INTERRUPTED: Final = 130
# What a set-up installs from several places comes at the same time.
SET_UP_JOBS: Final = 3


@dataclass(slots=True)
class Part:
    """One target's outcome: counts of tests, seconds, and the names of what failed."""

    target: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)


def main() -> int:
    """Run the targets; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, add_help=False)
    parser.add_argument("--set-up")
    parser.add_argument("targets", nargs="+")
    options = parser.parse_args()
    before = known_seconds()
    announce(options.targets, before, options.set_up)
    began = time.monotonic()
    parts: list[Part] = []
    interrupted = False
    if options.set_up:
        ready = run(options.set_up, f"--jobs={SET_UP_JOBS}")
        if ready.failed:
            parts.append(ready)
            options.targets = []
    for target in options.targets:
        heading(target)
        try:
            parts.append(run(target))
        except KeyboardInterrupt:
            interrupted = True
            break
        before[target] = parts[-1].seconds
    keep(before)
    print(summary(parts, time.monotonic() - began, interrupted=interrupted), flush=True)
    if interrupted:
        return INTERRUPTED
    return 1 if any(part.failed for part in parts) else 0


def known_seconds() -> dict[str, float]:
    """How long each target took when it last ran here."""
    try:
        return {name: float(took) for name, took in json.loads(SECONDS.read_text()).items()}
    except (OSError, ValueError, AttributeError):
        return {}


def keep(seconds: dict[str, float]) -> None:
    """Write down how long each target took."""
    SECONDS.parent.mkdir(exist_ok=True)
    SECONDS.write_text(json.dumps(seconds, indent=2))


def announce(targets: list[str], known: dict[str, float], set_up: str | None) -> None:
    """Say what is run and about how long that takes."""
    expected = {target: known.get(target, USUAL.get(target)) for target in targets}
    total = sum(took for took in expected.values() if took is not None)
    number = "1 part" if len(targets) == 1 else f"{len(targets)} parts"
    print(f"{number}, about {readable(total)} in all:")
    for target, took in expected.items():
        source = "when it last ran here" if target in known else "on two cores"
        about = "not known" if took is None else f"{readable(took):>7} {source}"
        print(f"  {target:<18}{about}")
    if set_up:
        print("What is missing is installed first; from nothing that takes some minutes more.")
    sys.stdout.flush()


def heading(target: str) -> None:
    """Set a part's output off from the one before."""
    print(f"\n{f' make {target} ':-^80}", flush=True)


def run(target: str, *more: str) -> Part:
    """Make one target, with more options of make; its output goes through as it comes."""
    report = (REPORTS / f"{target}.xml").absolute()
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    options = f"{os.environ.get('PYTEST_ADDOPTS', '')} --junit-xml={shlex.quote(str(report))}"
    environment = os.environ | {"PYTEST_ADDOPTS": options.strip()}
    began = time.monotonic()
    with subprocess.Popen(
        ["make", "--no-print-directory", *more, target], env=environment, stdin=subprocess.DEVNULL
    ) as process:
        try:
            status = process.wait()
        except KeyboardInterrupt:
            process.wait()  # it has had the terminal's Ctrl-C too, and is tidying up
            raise
    part = counted(target, report, status)
    part.seconds = time.monotonic() - began
    return part


def counted(target: str, report: Path, status: int) -> Part:
    """Count by the report if there is one, else the target as one."""
    part = Part(target)
    try:
        suites = list(ET.parse(report).getroot().iter("testsuite"))  # noqa: S314 - pytest's own
    except (OSError, ET.ParseError):
        suites = []
    for suite in suites:
        for case in suite.iter("testcase"):
            if case.find("failure") is not None or case.find("error") is not None:
                part.failed += 1
                part.failures.append(f"{case.get('classname')}::{case.get('name')}")
            elif case.find("skipped") is not None:
                part.skipped += 1
            else:
                part.passed += 1
    if status and not part.failed:
        part.failed = 1
        part.failures.append(f"make {target} ended with status {status}")
    elif not suites and not status:
        part.passed = 1
    return part


def summary(parts: list[Part], seconds: float, *, interrupted: bool) -> str:
    """A table of the parts, what failed, and a line like pytest's last one."""
    lines = ["", f"{'part':<18}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}"]
    lines += [
        f"{part.target:<18}{part.passed:>8}{part.failed:>8}{part.skipped:>9}{part.seconds:>9.0f}"
        for part in parts
    ]
    failures = [f"{part.target}: {name}" for part in parts for name in part.failures]
    lines += [f"FAILED {failure}" for failure in failures[:SHOWN_FAILURES]]
    if len(failures) > SHOWN_FAILURES:
        lines.append(f"and {len(failures) - SHOWN_FAILURES} more, see above")
    if interrupted:
        lines.append("interrupted: the parts that are not listed were not run to their end")
    counts = {
        word: sum(getattr(part, word) for part in parts) for word in ("failed", "passed", "skipped")
    }
    said = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    minutes = f" ({int(seconds) // 3600}:{int(seconds) // 60 % 60:02}:{int(seconds) % 60:02})"
    took = f"{seconds:.2f}s{minutes if seconds >= 60 else ''}"
    lines.append(f" {said or 'no tests ran'} in {took} ".center(80, "="))
    return "\n".join(lines)


def readable(seconds: float) -> str:
    """Seconds as people say them."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
