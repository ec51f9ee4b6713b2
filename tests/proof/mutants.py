"""Mutants of a module, by the operators of cosmic-ray, one replacement for each operator and place.

A change is equivalent by construction, and not counted, if it is of annotations, of the `*` in a
signature or under `if TYPE_CHECKING` alone, or swaps `==` and `is` (of the singletons, interned
strings and enumerations that are compared here, both say the same).
"""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import MutationVisitor
from cosmic_ray.plugins import get_operator, operator_names

if TYPE_CHECKING:
    from collections.abc import Iterator

SAME: Final = ("Eq_Is", "Is_Eq", "NotEq_IsNot", "IsNot_NotEq")
# These need arguments of their own, and replace names at random.
LEFT_OUT: Final = ("core/VariableReplacer", "core/VariableInserter")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change at one place of a module: the line counts from 1, the column from 0."""

    operator: str
    line: int
    column: int
    source: str

    @property
    def name(self) -> str:
        """What tells it from the others of its module."""
        return f"{self.line}:{self.column} {self.operator.removeprefix('core/')}"


def mutants(source: str, seed: str) -> Iterator[Mutant]:
    """Make a mutant for every operator and place, in an order that a seed chooses.

    Of several replacements the seed chooses one, too.
    """
    seen = {_executed(source)}
    places = sorted(_places(source).items(), key=_by_place)
    Random(seed).shuffle(places)  # noqa: S311 - to be had again
    for (family, line, column), candidates in places:
        dice = Random(f"{seed}.{family}.{line}.{column}")  # noqa: S311 - to be had again
        dice.shuffle(candidates)
        for name, occurrence in candidates:
            changed = _changed(source, name, occurrence)
            executed = None if changed is None else _executed(changed)
            if changed is None or executed is None or executed in seen:
                continue
            seen.add(executed)
            yield Mutant(name, line, column, changed)
            break


Place = tuple[str, int, int]


def _by_place(item: tuple[Place, list[tuple[str, int]]]) -> tuple[int, int, str]:
    family, line, column = item[0]
    return line, column, family


def _places(source: str) -> dict[Place, list[tuple[str, int]]]:
    """Where which operators apply, and as the how-manieth each."""
    places: dict[Place, list[tuple[str, int]]] = {}
    tree = get_ast(source)
    for name in operator_names():
        if name in LEFT_OUT or name.endswith(SAME):
            continue
        operator = get_operator(name)()
        found = (spot for node in ast_nodes(tree) for spot in operator.mutation_positions(node))
        for occurrence, ((line, column), _) in enumerate(found):
            family = name.rsplit("_", 1)[0] if name.count("_") > 1 else name
            places.setdefault((family, line, column), []).append((name, occurrence))
    return places


def _changed(source: str, name: str, occurrence: int) -> str | None:
    visitor = MutationVisitor(occurrence, get_operator(name)())
    try:
        return str(visitor.walk(get_ast(source)).get_code())
    except AttributeError:  # cosmic-ray replaces plain names of exceptions alone
        return None


def _executed(source: str) -> str | None:
    """What is executed of a source, without places; None if it does not compile."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        try:
            compile(source, "<mutant>", "exec", dont_inherit=True)
        except SyntaxError:
            return None
        return ast.dump(_Plain().visit(ast.parse(source)))


class _Plain(ast.NodeTransformer):
    """Without what only type checkers read."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_arguments(self, node: ast.arguments) -> ast.AST:
        """All by position: `*` in a signature is no operator, though cosmic-ray changes it."""
        node.args = [*node.posonlyargs, *node.args, *node.kwonlyargs]
        node.defaults += [default for default in node.kw_defaults if default is not None]
        node.posonlyargs, node.kwonlyargs, node.kw_defaults = [], [], []
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(value=None)
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST:
        if "TYPE_CHECKING" in ast.unparse(node.test):
            return ast.Pass()
        return self.generic_visit(node)
