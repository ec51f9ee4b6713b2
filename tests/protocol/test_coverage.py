"""Every module of the rules is covered, with branches, by the test file of its own name."""

from __future__ import annotations

import os
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import coverage
import pytest

from tests.support.gateway import ROOT, clean_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
pytestmark = [pytest.mark.timeout(300), pytest.mark.source]

MODULES = sorted(
    path.stem for path in (ROOT / "app" / "protocol").glob("*.py") if path.stem != "__init__"
)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[coverage.Coverage]:
    """The rules' own test files, run once; every line knows which test ran it.

    Without the tests that go through thousands of cases: tracing them takes most of the time, and
    what single cases cover is covered all the same.
    """
    measured = tmp_path_factory.mktemp("coverage") / "measured"
    files = [str(HERE / f"test_{name}.py") for name in MODULES]
    options = ["-q", "-m", "not nightly and not exhaustive", "--hypothesis-seed=0"]
    plugins = ["-p", "no:cacheprovider", "-p", "no:randomly"]
    coverages = ["--cov=app.protocol", "--cov-branch", "--cov-context=test", "--cov-report="]
    environment = {k: v for k, v in clean_environment().items() if not k.startswith("COV_")}
    environment |= {"HYPOTHESIS_EXAMPLES": "10"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *plugins, *coverages, *files],
        env=environment | {"COVERAGE_FILE": str(measured), "NO_COLOR": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = coverage.Coverage(
        data_file=os.fspath(measured), config_file=str(ROOT / "pyproject.toml")
    )
    found.load()
    yield found
    found.get_data().close(force=True)


@pytest.mark.parametrize("name", MODULES)
def test_module_is_covered_by_its_own_tests(measured: coverage.Coverage, name: str) -> None:
    own = ["^$", rf"tests/protocol/test_{name}\.py::"]
    table = StringIO()
    percent = measured.report(
        [str(ROOT / "app" / "protocol" / f"{name}.py")],
        contexts=own,
        file=table,
        show_missing=True,
        precision=2,
    )
    assert percent == 100.0, table.getvalue()
