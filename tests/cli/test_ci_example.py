"""The shipped GitHub Actions workflow is one, and its commands are ours."""

from __future__ import annotations

import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import yaml

from app.cli.commands import main
from tests.support.gateway import ROOT

if TYPE_CHECKING:
    import pytest

WORKFLOW = ROOT / "deploy" / "ci" / "github-actions.yml"


def test_the_workflow_fits_the_schema_of_github_actions() -> None:
    check = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.github-workflows",
    ]
    done = subprocess.run([*check, WORKFLOW], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_commands_have_options_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    """Up to the folder of scenarios, which is the user's own."""
    jobs = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]
    steps = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    commands = [shlex.split(run) for run in steps if run.startswith("blackbox-relay")]
    assert len(commands) == 2
    for command in commands:
        assert main(command[1:]) == 2
        assert capsys.readouterr().err == (
            "error: scenarios: cannot be read: No such file or directory\n"
        )
