"""Tests close the database connections that they open.

Python 3.13 warns of one that is collected while it is open, in whatever test that happens.
"""

from __future__ import annotations

import ast

from tests.support.gateway import ROOT

CONNECTING = {"sqlite3.connect", "aiosqlite.connect"}
OPENING = {"create_engine", "create_async_engine"}
CLOSING = {"dispose", "close"}


def called(node: ast.AST) -> str:
    """The dotted name of what is called; empty where nothing is."""
    return ast.unparse(node.func) if isinstance(node, ast.Call) else ""


def opens(node: ast.AST) -> bool:
    """Whether something is opened that must be closed by name: a pool, or SQLite's connection."""
    if called(node) in CONNECTING:
        return True
    return called(node).rpartition(".")[2] in OPENING and "NullPool" not in ast.unparse(node)


def unclosed(source: str) -> list[int]:
    """The lines of functions on which a test opens what it does not close by name.

    `with sqlite3.connect(...)` ends a transaction, and closes nothing.
    """
    found: list[int] = []
    if not any(name in source for name in CONNECTING | OPENING):
        return found
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        closed = {
            node.value.id
            for node in ast.walk(function)
            if isinstance(node, ast.Attribute)
            and node.attr in CLOSING
            and isinstance(node.value, ast.Name)
        }
        kept: set[ast.AST] = set()
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                kept |= {node.value} if node.targets[0].id in closed else set()
            elif called(node).rpartition(".")[2] in {"closing", "aclosing"}:
                kept |= set(ast.walk(node))
        found += [node.lineno for node in ast.walk(function) if opens(node) and node not in kept]  # type: ignore[attr-defined]
    return sorted(set(found))


def test_the_search_sees_what_is_not_closed() -> None:
    source = """
def test() -> None:
    a = create_engine("sqlite://")
    with a.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
    b = create_engine("sqlite://", poolclass=NullPool)
    c = create_async_engine("postgresql+asyncpg://")
    c.dispose()
    with sqlite3.connect("x") as d:
        d.execute("SELECT 1")
    with closing(sqlite3.connect("x")) as e:
        e.execute("SELECT 1")
"""
    assert unclosed(source) == [3, 9]


def test_every_connection_that_a_test_opens_is_closed() -> None:
    found = {
        str(path.relative_to(ROOT)): unclosed(path.read_text(encoding="utf-8"))
        for path in sorted((ROOT / "tests").rglob("*.py"))
    }
    assert {path: lines for path, lines in found.items() if lines} == {}
