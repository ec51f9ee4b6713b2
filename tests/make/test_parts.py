"""`make test` runs every part, sums them up, and fails if any of them did."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
MAKEFILE = f"""
ready:
\t@touch is-ready
broken-set-up:
\t@echo "no such package: something" >&2; exit 3
plain:
\t@test -e is-ready
plain-failure:
\t@exit 7
good bad none crash:
\t@PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 {sys.executable} -m pytest -p no:cacheprovider -q test_$@.py
slow:
\t@echo slow has begun; exec sleep 600
last:
\t@touch last-ran
"""
SUITES = {
    "good": "import pytest\ndef test_a(): ...\ndef test_b(): ...\n"
    "@pytest.mark.skip\ndef test_c(): ...\n",
    "bad": "import pytest\ndef test_a(): ...\ndef test_b(): assert 0\n"
    "@pytest.fixture\ndef broken(): raise OSError\ndef test_c(broken): ...\n",
    "none": "",
    "crash": "import os\nos._exit(9)\n",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "Makefile").write_text(MAKEFILE)
    for name, text in SUITES.items():
        (tmp_path / f"test_{name}.py").write_text(text)
    return tmp_path


def parts(project: Path, *arguments: str) -> tuple[int, list[str]]:
    """Run the parts; return the status and the lines."""
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "parts.py", *arguments],
        cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=100, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout.strip().splitlines()


def until_waiting(process: psutil.Process) -> None:
    """Wait until a process and all that it started sleep, each of them for the next one's end."""
    deadline = time.monotonic() + 20
    while True:
        family = [process, *process.children(recursive=True)]
        names = [member.name() for member in family]
        if names[-1] == "sleep" and all(
            member.status() == psutil.STATUS_SLEEPING for member in family
        ):
            return
        assert time.monotonic() < deadline, names
        time.sleep(0.01)


def row(lines: list[str], target: str) -> list[int]:
    """Passed, failed and skipped of a part."""
    (found,) = (line for line in lines if re.fullmatch(rf"{target}(\s+\d+){{4}}", line))
    return [int(word) for word in found.split()[1:4]]


def test_all_parts_pass(project: Path) -> None:
    status, lines = parts(project, "--set-up", "ready", "plain", "good")
    assert status == 0
    assert row(lines, "plain") == [1, 0, 0]
    assert row(lines, "good") == [2, 0, 1]
    assert re.fullmatch(r"=+ 3 passed, 1 skipped in \d+\.\d\ds =+", lines[-1])


@pytest.mark.parametrize(
    ("broken", "counts", "named"),
    [
        ("bad", [1, 2, 0], "bad: test_bad::test_b"),
        ("none", [0, 1, 0], "make none ended with status 2"),
        ("crash", [0, 1, 0], "make crash ended with status 2"),
        ("plain-failure", [0, 1, 0], "make plain-failure ended with status 2"),
        ("no-such-target", [0, 1, 0], "make no-such-target ended with status 2"),
    ],
)
def test_a_part_that_fails_fails_all_after_the_others_ran(
    project: Path, broken: str, counts: list[int], named: str
) -> None:
    status, lines = parts(project, "--set-up", "ready", broken, "good", "last")
    assert status == 1
    assert row(lines, broken) == counts
    assert row(lines, "good") == [2, 0, 1]
    assert (project / "last-ran").exists()
    assert any(line.startswith("FAILED ") and named in line for line in lines)
    passed, failed = counts[0] + 3, counts[1]
    assert re.fullmatch(rf"=+ {failed} failed, {passed} passed, 1 skipped in .*s =+", lines[-1])


def test_a_set_up_that_fails_is_told_and_nothing_is_run(project: Path) -> None:
    status, lines = parts(project, "--set-up", "broken-set-up", "last")
    assert status == 1
    assert "no such package: something" in lines
    assert row(lines, "broken-set-up") == [0, 1, 0]
    assert not (project / "last-ran").exists()
    assert re.fullmatch(r"=+ 1 failed in .*s =+", lines[-1])


def test_parts_and_their_durations_are_told_before_anything_runs(project: Path) -> None:
    _, lines = parts(project, "check", "last")
    assert lines[:3] == [
        "2 parts, about 20 s in all:",
        "  check                20 s on two cores",
        "  last              not known",
    ]
    kept = json.loads((project / ".cache" / "parts.json").read_text())
    (project / ".cache" / "parts.json").write_text(json.dumps(kept | {"last": 300}))
    _, lines = parts(project, "last")
    assert lines[:2] == [
        "1 part, about 5 min in all:",
        "  last                5 min when it last ran here",
    ]


def test_an_old_report_is_not_counted_again(project: Path) -> None:
    assert parts(project, "good")[0] == 0
    (project / "test_good.py").write_text("import os\nos._exit(9)\n")
    status, lines = parts(project, "good")
    assert status == 1
    assert row(lines, "good") == [0, 1, 0]


def test_an_interrupt_ends_the_part_and_still_sums_up(project: Path) -> None:
    with subprocess.Popen(
        # A shell starts what runs in its background with SIGINT ignored, and that is inherited.
        ["env", "--default-signal=INT",
         sys.executable, ROOT / "tests" / "parts.py", "last", "slow", "good"],
        cwd=project, stdout=subprocess.PIPE, text=True, start_new_session=True,
    ) as run:  # fmt: skip
        assert run.stdout is not None
        assert "slow has begun\n" in iter(run.stdout.readline, "")
        until_waiting(psutil.Process(run.pid))
        subprocess.run(["kill", f"-{signal.SIGINT.value}", "--", f"-{run.pid}"], check=True)
        rest = run.communicate(timeout=30)[0].splitlines()
    assert run.returncode == 130
    assert row(rest, "last") == [1, 0, 0]
    assert not any(line.startswith("good") for line in rest)
    assert rest[-1].endswith("=")
