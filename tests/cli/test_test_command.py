"""`blackbox-relay test` as CI runs it: its output, its report and its exit status."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from app.cli import main
from tests.cli.stage import SHIPPED, stage
from tests.support.gateway import ROOT, clean_environment

if TYPE_CHECKING:
    from pathlib import Path

# By the schema that Jenkins checks reports against.
COUNTS = {"tests", "failures", "errors", "skipped"}


@pytest.fixture(autouse=True)
def _bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory, and no variable of a gateway's."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ.keys() - clean_environment().keys():
        monkeypatch.delenv(name)


def valid_junit(path: Path) -> ET.Element:
    """A report, its sums compared with its cases."""
    root = ET.parse(path).getroot()  # noqa: S314 - written by the command under test
    assert root.tag == "testsuites"
    for suite in root:
        assert suite.tag == "testsuite"
        assert suite.get("name")
        assert not COUNTS.difference(suite.keys())
        cases = list(suite)
        failed = [case for case in cases if case.find("failure") is not None]
        assert (int(suite.get("tests", "")), int(suite.get("failures", ""))) == (
            len(cases),
            len(failed),
        )
        for case in cases:
            assert case.tag == "testcase"
            assert not {"name", "classname"}.difference(case.keys())
            assert float(case.get("time", "")) >= 0
            assert {each.tag for each in case} <= {"failure", "system-out"}
    assert int(root.get("tests", "")) == sum(len(suite) for suite in root)
    return root


def test_shipped_scenarios_hold_against_the_emulator(tmp_path: Path) -> None:
    report = tmp_path / "reports" / "junit.xml"
    done = subprocess.run(
        [sys.executable, "-P", "-m", "app", "test", SHIPPED, "--junit", report],
        cwd=tmp_path, env=clean_environment() | {"PYTHONPATH": str(ROOT)},
        text=True, capture_output=True, timeout=90, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "4 scenarios: 4 held, 0 failed"
    root = valid_junit(report)
    assert (root.get("tests"), root.get("failures")) == ("4", "0")


async def test_differences_end_with_1_and_are_in_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "wrong.yaml").write_text(
        "agent: echo\nsettle: 0.1\nturns:\n"
        "  - say: fine\n    expect: {text: fine}\n"
        '  - say: "bell \\x07"\n    expect: {text: silence, within: 0.5}\n'
    )
    options = ["--junit", "junit.xml", "--repeat", "2", "--min-pass-rate", "0.5"]
    async with stage() as running:
        assert running.gateway.token is not None
        monkeypatch.setenv("RELAY_SERVICE_TOKENS", running.gateway.token)
        command = ["test", "wrong.yaml", "--url", running.gateway.base, *options]
        status = await asyncio.to_thread(main, command)
    out = capsys.readouterr().out
    assert status == 1, out
    assert "wrong.yaml:6" in out
    assert 'expected  the text "silence"' in out
    assert "0 of 2 runs held, 50% wanted" in out
    assert "\x07" not in out
    assert "\x1b" not in out  # no terminal, no colours
    (suite,) = valid_junit(tmp_path / "junit.xml")
    failure = suite[0].find("failure")
    assert failure is not None
    assert failure.get("message") == 'turn 2: expected the text "silence"'


def test_a_faulty_file_ends_with_2_and_nothing_is_played(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "faulty.yaml").write_text("turns:\n  - say: hello\n    expects: {}\n")
    status = main(["test", str(SHIPPED), "faulty.yaml"])
    told = capsys.readouterr()
    assert (status, told.out) == (2, "")
    fault = "error: faulty.yaml:3: turns.0.expects: is no member; did you mean expect?\n"
    assert told.err == fault


@pytest.mark.parametrize(
    ("options", "variables", "told"),
    [
        ([], {"RELAY_AGENT": "{}"}, "error: RELAY_AGENT is unknown"),
        (["--repeat", "0"], {}, "error: --repeat must be"),
        (["--min-pass-rate", "2"], {}, "error: --min-pass-rate must be"),
        (["--url", "ftp://relay"], {}, "error: --url must be"),
        (["--record", "0123"], {}, "error: RELAY_SERVICE_TOKENS is missing"),
    ],
    ids=["variable", "repeat", "rate", "url", "token"],
)
def test_what_is_misconfigured_ends_with_2(
    options: list[str],
    variables: dict[str, str],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RELAY_BLACKBOX_API_KEY", "key")  # so that no emulator is started
    assert main(["test", str(SHIPPED), *options]) == 2
    assert capsys.readouterr().err.startswith(told)


def test_a_gateway_that_is_not_there_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one.yaml").write_text("turns:\n  - say: hello\n")
    assert main(["test", "one.yaml", "--url", "http://127.0.0.1:1"]) == 1
    assert "no gateway answers at http://127.0.0.1:1" in capsys.readouterr().out
