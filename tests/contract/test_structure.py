"""What holds for all of the source: tasks have names, errors one root, C classes their slots."""

from __future__ import annotations

import ast
import builtins
import inspect
import re
from dataclasses import fields
from typing import TYPE_CHECKING

import pytest

from app.cluster.remote_socket import BridgeTimings
from app.gateway.admission import GatewayLimits
from app.history.queue import Bounds
from app.protocol.tenant import TenantLimits
from app.relay.dependencies import RelayLimits
from app.state.redis_timings import Timings
from app.websocket.limits import WireLimits
from tests.support.gateway import ROOT

if TYPE_CHECKING:
    from pathlib import Path

SOURCES = sorted((ROOT / "app").rglob("*.py"))
COMPILED = sorted((ROOT / "app").rglob("*.pxd"))
# It must pass every `except Exception` on its way to the middleware that raised it.
NO_ERROR = {"_TooLarge"}
LIMITS = (BridgeTimings, Bounds, GatewayLimits, RelayLimits, TenantLimits, Timings, WireLimits)


def unnamed_tasks(source: str) -> list[int]:
    """The lines on which a task is made without a name."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "create_task"
        and not any(keyword.arg == "name" for keyword in node.keywords)
    ]


def test_the_search_sees_a_task_without_a_name() -> None:
    assert unnamed_tasks("group.create_task(f())\ngroup.create_task(f(), name='f')\n") == [1]


def test_every_task_has_a_name() -> None:
    found = {
        str(path.relative_to(ROOT)): unnamed_tasks(path.read_text(encoding="utf-8"))
        for path in SOURCES
    }
    assert {path: lines for path, lines in found.items() if lines} == {}


def outside_the_tree(source: str) -> list[str]:
    """Exceptions of Python's own kinds that are not ours by a second base.

    One that a library must take for its own has a base of that library's.
    """
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
            kinds = [getattr(builtins, name, None) for name in bases]
            is_raised = any(isinstance(k, type) and issubclass(k, BaseException) for k in kinds)
            if is_raised and "RelayError" not in bases:
                found.append(node.name)
    return found


def test_the_search_sees_an_exception_outside_the_tree() -> None:
    source = "class A(ValueError): ...\nclass B(RelayError, ValueError): ...\nclass C(str): ...\n"
    assert outside_the_tree(source) == ["A"]


def test_every_exception_hangs_in_one_tree() -> None:
    found = {
        name
        for path in SOURCES
        if "emulator" not in path.parts
        for name in outside_the_tree(path.read_text(encoding="utf-8"))
    }
    assert found == NO_ERROR


@pytest.mark.parametrize("kind", LIMITS, ids=lambda k: k.__name__)
def test_every_limit_is_documented(kind: type) -> None:
    told = inspect.getdoc(kind) or ""
    assert [item.name for item in fields(kind) if f"`{item.name}`" not in told] == []


def cdef_attributes(text: str) -> dict[str, set[str]]:
    """The attributes of each `cdef class` of a `.pxd`."""
    found: dict[str, set[str]] = {}
    inside: set[str] | None = None
    for line in text.splitlines():
        if begun := re.match(r"cdef class (\w+)", line):
            inside = found.setdefault(begun[1], set())
        elif line and not line[0].isspace():
            inside = None
        elif inside is not None and (
            named := re.fullmatch(r"    cdef (?:public |readonly )?[\w ]+? (\w+)", line)
        ):
            inside.add(named[1])
    return found


def source_attributes(node: ast.ClassDef) -> tuple[set[str], set[str] | None]:
    """What a class's methods assign to `self`, and its `__slots__` if it has any."""
    assigned = {
        each.attr
        for each in ast.walk(node)
        if isinstance(each, ast.Attribute)
        and isinstance(each.ctx, ast.Store)
        and isinstance(each.value, ast.Name)
        and each.value.id == "self"
    }
    slots = next(
        (
            set(ast.literal_eval(each.value))
            for each in node.body
            if isinstance(each, ast.Assign)
            and isinstance(each.targets[0], ast.Name)
            and each.targets[0].id == "__slots__"
        ),
        None,
    )
    return assigned, slots


def test_the_reader_of_declarations_reads_them() -> None:
    text = "cdef int _X\n\ncdef class A(B):\n    cdef public object a\n    cdef bint _b\n\n"
    text += "    @cython.locals(c=int)\n    cpdef f(self, int c)\n    cdef g(self)\n"
    text += "    cdef unsigned long long _d\n\ncdef class E:\n    pass\n"
    assert cdef_attributes(text) == {"A": {"a", "_b", "_d"}, "E": set()}


@pytest.mark.parametrize("path", COMPILED, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_compiled_class_declares_what_its_source_has(path: Path) -> None:
    """In the compiled build an undeclared attribute is an error, an unused one is memory."""
    tree = ast.parse(path.with_suffix(".py").read_text(encoding="utf-8"))
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    declared = cdef_attributes(path.read_text(encoding="utf-8"))
    bases = {
        name: {base.id for base in node.bases if isinstance(base, ast.Name)}
        for name, node in classes.items()
    }
    for name, attributes in declared.items():
        assigned, slots = source_attributes(classes[name])
        if slots is not None:
            assert slots == attributes, name
        elif not bases[name]:
            assert assigned == attributes, name
        else:
            assert attributes <= assigned, name
