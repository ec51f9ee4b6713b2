"""What `make run` prints, and how it ends."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

from tests.support.gateway import ROOT, clean_environment
from tests.support.ports import free_port


def test_a_newcomer_is_told_of_one_address_and_ctrl_c_ends_it_all() -> None:
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-m", "app", "run"],
        cwd=ROOT, env=clean_environment() | {"PORT": str(port)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    ) as run:  # fmt: skip
        assert run.stdout is not None
        said = []
        for line in run.stdout:
            said.append(line)
            if re.search(r"\bserving\b", line):
                break
        run.send_signal(signal.SIGINT)
        said += run.communicate(timeout=60)[0].splitlines(keepends=True)
    assert run.returncode == 0, "".join(said)
    addresses = re.findall(r"wss?://\S+", "".join(said))
    assert addresses == [f"ws://127.0.0.1:{port}/ws"]
    assert f"  Demo page   http://127.0.0.1:{port}/demo\n" in said
    assert "Traceback" not in "".join(said)
