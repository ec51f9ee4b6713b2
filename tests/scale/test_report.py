"""A simulation that is cut has written what it reached."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.nightly
def test_a_run_that_is_told_to_end_reports_the_size_that_it_reached(tmp_path: Path) -> None:
    path = tmp_path / "scale.json"
    command = "-m tests.scale --sessions 40000 --seconds 600 --replicas 4 --workers 1 --quiet 0.1"
    with subprocess.Popen(
        [sys.executable, *command.split(), "--report", path],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as run:
        try:
            deadline = time.monotonic() + 120
            while not path.exists() or "growth" not in json.loads(path.read_text()):
                assert time.monotonic() < deadline
                assert run.poll() is None, run.stderr and run.stderr.read().decode()
                time.sleep(0.1)
            # As a terminal does it: the servers and processes that it has started get it, too.
            os.killpg(run.pid, signal.SIGINT)
            assert run.wait(120) == 1
        finally:
            run.kill()
    report = json.loads(path.read_text())
    reached = report["growth"][-1]
    assert report["cut"].startswith("SIGINT")
    assert report["faults"] == ["SIGINT"]
    assert 0 < reached["sessions"] == reached["listed"] < 40_000
    assert report["caps_filled"]["sessions"] == reached["sessions"]
    assert report["caps_filled"]["exceeded"] == 0
    assert path.with_suffix(".svg").read_text().startswith("<svg")
