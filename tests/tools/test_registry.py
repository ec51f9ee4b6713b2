from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003
from typing import TYPE_CHECKING

import pytest

from app.examples.support_tools import check_order_status
from app.protocol.errors import ConfigurationError
from app.tools import Registry, Tool
from app.tools.declare import FunctionTool
from app.tools.registry import load

if TYPE_CHECKING:
    from app.tools.threads import DaemonThreads


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    path = tmp_path / "tools_of_a_test.py"
    monkeypatch.delitem(sys.modules, path.stem, raising=False)
    return path


def test_the_example_module_loads(threads: DaemonThreads) -> None:
    registry = Registry(load(["app.examples.support_tools"], threads))
    (row,) = registry.describe()
    assert row.name == "check_order_status"
    assert row.origin == "app.examples.support_tools:check_order_status"
    assert row.description.startswith("Look up an order.")


def test_a_module_in_the_working_directory_loads(module: Path, threads: DaemonThreads) -> None:
    module.write_text(
        "from app.tools import tool\n@tool\ndef a(): ...\n@tool\ndef b(): ...\nalias = a\n"
    )
    assert [found.name for found in load([module.stem], threads)] == ["a", "b"]
    assert [found.name for found in load([f"{module.stem}:b", ""], threads)] == ["b"]


def test_every_fault_is_told_at_once(module: Path, threads: DaemonThreads) -> None:
    module.write_text("x = 1\nraise ValueError('a-secret-value')\n")
    paths = ["no.such.module", module.stem, "json", "json:dumps"]
    with pytest.raises(ConfigurationError) as caught:
        load(paths, threads)
    assert caught.value.faults == (
        "RELAY_TOOLS: no.such.module cannot be imported: no module named 'no'",
        "RELAY_TOOLS: tools_of_a_test cannot be imported (ValueError at tools_of_a_test.py:2)",
        "RELAY_TOOLS: json has no function with @tool",
        "RELAY_TOOLS: json:dumps is no function with @tool",
    )


def test_two_tools_of_one_name_are_told_with_both_origins(threads: DaemonThreads) -> None:
    one, other = (
        FunctionTool(check_order_status, threads),
        FunctionTool(check_order_status, threads),
    )
    other.origin = "elsewhere:check"
    with pytest.raises(ConfigurationError) as caught:
        Registry([one, other])
    (fault,) = caught.value.faults
    assert fault.startswith("two tools are called 'check_order_status': app.examples.support_")
    assert fault.endswith(":check_order_status and elsewhere:check")


class Later:
    def __init__(self) -> None:
        self.found: dict[str, Tool] = {}

    def tools(self) -> dict[str, Tool]:
        return self.found


def test_a_source_brings_tools_later_and_hides_none_of_ours(threads: DaemonThreads) -> None:
    later = Later()
    own = FunctionTool(check_order_status, threads)
    registry = Registry([own], [later])
    assert list(registry) == ["check_order_status"]
    theirs = FunctionTool(check_order_status, threads)
    later.found = {"check_order_status": theirs, "more": theirs}
    assert sorted(registry) == ["check_order_status", "more"]
    assert len(registry) == 2
    assert registry["check_order_status"] is own
    assert registry["more"] is theirs
    assert "none" not in registry
