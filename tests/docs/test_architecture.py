"""The map of the code is true: its files, functions and packages exist, its answers are right."""

from __future__ import annotations

import ast
import configparser
import re

import pytest

from tests.support.gateway import ROOT

MAP = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PATHS = sorted(set(re.findall(r"`((?:app|tests)/[\w/]+\.[\w.]+|app/[\w/]+/)`", MAP + CONTRIBUTING)))
PLACES = sorted(set(re.findall(r"`(app/[\w/]+\.py)`\s+`([\w.]+)`", MAP)))
QUESTIONS = re.findall(
    r"^\| `(.+)` \| `(\w+)` \|$", MAP.partition("Where does this line")[2], re.MULTILINE
)


def defined(path: str) -> set[str]:
    """Every function, class and constant of a module, methods and fields as `Class.name`."""
    found: set[str] = set()

    def visit(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            match node:
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    found.add(prefix + name)
                case ast.ClassDef(name=name):
                    found.add(prefix + name)
                    visit(node.body, f"{prefix}{name}.")
                case ast.Assign(targets=targets):
                    found.update(prefix + t.id for t in targets if isinstance(t, ast.Name))
                case ast.AnnAssign(target=ast.Name(id=name)):
                    found.add(prefix + name)
                case _:
                    pass

    visit(ast.parse((ROOT / path).read_text(encoding="utf-8")).body, "")
    return found


def test_the_map_names_places() -> None:
    assert len(PATHS) > 30
    assert len(PLACES) > 25


@pytest.mark.parametrize("path", PATHS)
def test_a_file_of_the_map_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize(("path", "name"), PLACES, ids=str)
def test_a_function_of_the_map_exists(path: str, name: str) -> None:
    assert name in defined(path)


def test_the_map_has_every_package_in_the_order_of_the_contract() -> None:
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    layers = contracts["importlinter:contract:floors"]["layers"].split("\n")
    floors = [set(re.findall(r"\w+", layer)) for layer in layers if layer and layer != "__main__"]
    rows = re.findall(r"^\| ((?:`\w+`,? ?)+) \|", MAP.partition("## A frame")[0], re.MULTILINE)
    mapped = [set(re.findall(r"\w+", row)) for row in rows]
    assert mapped[:-1] == floors
    assert set().union(*mapped) == {
        path.stem
        for path in (ROOT / "app").iterdir()
        if not path.name.startswith("__") and (path.suffix == ".py" or path.is_dir())
    }


def test_ten_lines_are_asked_for() -> None:
    assert len(QUESTIONS) == 10
    assert len({package for _, package in QUESTIONS}) == 10


@pytest.mark.parametrize(("line", "package"), QUESTIONS, ids=[p for _, p in QUESTIONS])
def test_a_line_is_where_the_map_puts_it(line: str, package: str) -> None:
    homes = {
        path.relative_to(ROOT / "app").parts[0].removesuffix(".py")
        for path in (ROOT / "app").rglob("*.py")
        if line in path.read_text(encoding="utf-8")
    }
    assert homes == {package}
