"""Arguments as models write them, made into what the tool's schema means; the same for every tool.

A model may hand over all arguments as one JSON string, as chat-completion interfaces carry them,
or nothing where a tool takes nothing; it writes `1.0` or `1e2` for an integer, which JSON Schema
holds equal (draft 2020-12, core §4.2.2), and null for what it leaves out. What a schema allows is
never changed in value, and a string that a tool wants stays a string.
"""

from __future__ import annotations

from decimal import Decimal
from math import isinf
from typing import TYPE_CHECKING, Any, Final

from referencing.exceptions import Unresolvable

from blackbox_relay import exact_json
from blackbox_relay.errors import BadArgs
from blackbox_relay.schema import SchemaCheck, resolved

if TYPE_CHECKING:
    from blackbox_relay.schema import Schema

_NOTHING: Final = frozenset({"", "null"})


class Arguments:
    """What one tool takes. `unreadable` names the places of patterns that are not checked."""

    def __init__(self, schema: Schema) -> None:
        """Take the tool's schema; raises InvalidSchema."""
        self._check = SchemaCheck(schema)
        self.unreadable = self._check.unreadable

    def checked(self, args: Any) -> Any:
        """Return the arguments as the tool takes them; raises BadArgs and ToolFailed."""
        args = self.prepared(args)
        self._check.check(args)
        return args

    def prepared(self, args: Any) -> Any:
        """Return the arguments as the schema means them, unchecked; raises BadArgs."""
        root = self._check.schema
        try:
            return self._fitted(unwrapped(args, root), root, "")
        except RecursionError:
            raise BadArgs("the arguments are nested too deeply") from None
        except OverflowError:  # a rule that divides by a fraction
            raise BadArgs("a number is too large for the tool's schema") from None

    def _fitted(self, value: Any, schema: Any, place: str) -> Any:
        schema = resolved(schema, self._check.schema)
        rules = schema if isinstance(schema, dict) else {}
        for part in rules.get("allOf", ()):
            value = self._fitted(value, part, place)
        for branch in (*rules.get("anyOf", ()), *rules.get("oneOf", ())):
            fitted = self._fitted(value, branch, place)
            if self._fits(fitted, branch):
                value = fitted
                break
        if isinstance(value, dict):
            return self._object(value, rules, place)
        if isinstance(value, list):
            return self._array(value, rules, place)
        return _number(value, rules, place) if type(value) is float else value

    def _object(self, value: dict[str, Any], rules: dict[str, Any], place: str) -> dict[str, Any]:
        known: Any = rules.get("properties", {})
        needed: Any = rules.get("required", ())
        other = rules.get("additionalProperties")
        fitted: dict[str, Any] = {}
        for name, member in value.items():
            rule = known.get(name)
            left_out = member is None and rule is not None and name not in needed
            if left_out and not self._fits(None, rule):
                continue
            inside = f"{place}.{name}" if place and rule is not None else name
            # A name that the schema does not know is the model's own, and goes into no message.
            inside = inside if rule is not None else f"{place or 'the arguments'}"
            fitted[name] = self._fitted(member, other if rule is None else rule, inside)
        return fitted

    def _array(self, value: list[Any], rules: dict[str, Any], place: str) -> list[Any]:
        first: Any = rules.get("prefixItems", ())
        items = rules.get("items")
        if isinstance(items, list):  # before draft 2020-12
            first, items = items, rules.get("additionalItems")
        return [
            self._fitted(item, first[at] if at < len(first) else items, f"{place}[{at}]")
            for at, item in enumerate(value)
        ]

    def _fits(self, value: Any, schema: Any) -> bool:
        if not isinstance(schema, (dict, bool)):
            return False
        try:
            return bool(self._check.validator.evolve(schema=schema).is_valid(value))
        except Unresolvable:
            return False  # the check that follows says so by name


def unwrapped(args: Any, schema: Schema) -> Any:
    """Return arguments that came as nothing or as one JSON string as the object that they are."""
    if args is None:
        return {}
    kinds = schema.get("type", ())
    if not isinstance(args, str) or "string" in ([kinds] if isinstance(kinds, str) else kinds):
        return args
    if args.strip() in _NOTHING:
        return {}
    try:
        found = exact_json.loads_all(args.encode())
    except ValueError:
        return args
    return found if isinstance(found, dict) else args


def _number(value: float, rules: dict[str, Any], place: str) -> float | int:
    """Return a number as the integer that the schema wants, if it is one."""
    if isinf(value):
        raise BadArgs(f"{place or 'the arguments'}: the number is too large")
    if not value.is_integer():
        return value
    kinds = rules.get("type", ())
    kinds = [kinds] if isinstance(kinds, str) else kinds
    listed = (*rules.get("enum", ()), *((rules["const"],) if "const" in rules else ()))
    if ("integer" in kinds and "number" not in kinds) or any(
        type(item) is int and item == value for item in listed
    ):
        return int(Decimal(repr(value)))  # the number as it was written, not its double's digits
    return value
