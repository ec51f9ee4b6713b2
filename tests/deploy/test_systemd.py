"""The systemd unit, judged by systemd itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.deploy.tooling import DEPLOY, binary, run

if TYPE_CHECKING:
    from pathlib import Path

UNIT = (DEPLOY / "systemd" / "blackbox-relay.service").read_text()


def runnable(directory: Path) -> Path:
    """Write the unit with a program that exists here, as systemd-analyze wants it."""
    path = directory / "blackbox-relay.service"
    path.write_text(UNIT.replace("/opt/blackbox-relay/bin/blackbox-relay", "/bin/true"))
    return path


def test_systemd_has_nothing_to_say_against_the_unit(tmp_path: Path) -> None:
    analyze = binary("systemd-analyze", "systemd")
    done = run(analyze, "verify", runnable(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")


def test_exposure_is_low(tmp_path: Path) -> None:
    analyze = binary("systemd-analyze", "systemd")
    # In tenths: 2.0 is "OK"; services without any hardening have 9.6.
    done = run(analyze, "security", "--offline=true", "--threshold=20", runnable(tmp_path))
    assert done.returncode == 0, done.stdout


def test_a_stop_waits_longer_than_the_drain() -> None:
    stop = re.search(r"^TimeoutStopSec=(\d+)$", UNIT, re.MULTILINE)
    assert stop is not None
    assert int(stop[1]) > 5 + 300


def test_secrets_come_as_credentials_and_not_as_variables() -> None:
    loaded = set(re.findall(r"^LoadCredential=(\w+):", UNIT, re.MULTILINE))
    used = set(re.findall(r"^Environment=RELAY_\w+_FILE=%d/(\w+)$", UNIT, re.MULTILINE))
    assert loaded == used == {"blackbox_api_key", "service_tokens"}
    assert not re.findall(r"^Environment=RELAY_\w+(?<!_FILE)=", UNIT, re.MULTILINE)
