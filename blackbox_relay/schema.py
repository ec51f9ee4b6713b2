"""Validates arguments and answers against a JSON Schema from outside."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError, best_match
from jsonschema.validators import validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

from blackbox_relay.errors import BadArgs, ToolFailed

if TYPE_CHECKING:
    from collections.abc import Iterator


Schema = Mapping[str, Any]

# Keywords whose values are data, and hold no schema.
_DATA: Final = frozenset({"const", "default", "enum", "example", "examples"})
# Keywords whose members are schemas under names of their own.
_NAMED: Final = frozenset(
    {"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"}
)
# What a member that `patternProperties` no longer knows would fall to.
_BESIDE: Final = ("additionalProperties", "unevaluatedProperties")


class InvalidSchema(ValueError):  # noqa: N818 - what it is
    """A schema is none; the message says where it is wrong, and why if that is known."""


class SchemaCheck:
    """A JSON Schema in its own draft, 2020-12 by default; references outside are never fetched.

    JSON Schema's patterns are ECMA-262's (draft 2020-12, core §6.4), some of which Python cannot
    read: those are left out of the check, and `unreadable` says where they stand.
    """

    def __init__(self, schema: Schema) -> None:
        """Take a schema; raises InvalidSchema."""
        unreadable: list[str] = []
        self.schema: dict[str, Any] = _readable(dict(schema), "$", unreadable)
        self.unreadable = tuple(unreadable)
        kind = validator_for(self.schema, default=Draft202012Validator)
        try:
            kind.check_schema(self.schema)
        except SchemaError as error:
            raise InvalidSchema(f"no JSON Schema at {error.json_path}") from None
        self.validator = kind(self.schema, registry=Registry())

    def check(self, args: Any) -> None:
        """Raise BadArgs if the arguments do not fit, ToolFailed if the schema cannot tell."""
        if (error := self.error(args)) is not None:
            raise BadArgs(_fault(error))

    def error(self, value: Any) -> ValidationError | None:
        """Return what is wrong with a value, or None; raises BadArgs and ToolFailed."""
        try:
            found: ValidationError | None = best_match(self.validator.iter_errors(value))
        except Unresolvable:
            raise ToolFailed("schema_unresolvable") from None
        except RecursionError:
            raise BadArgs("the arguments are nested too deeply") from None
        except OverflowError:  # a rule that divides by a fraction
            raise BadArgs("a number is too large for the tool's schema") from None
        return found


def _readable(schema: Any, place: str, unreadable: list[str]) -> Any:
    """Copy a schema without the patterns that Python cannot read, and name their places."""
    if isinstance(schema, list):
        return [_readable(item, f"{place}[{n}]", unreadable) for n, item in enumerate(schema)]
    if not isinstance(schema, dict):
        return schema
    schema = _without_patterns(schema, place, unreadable)
    kept: dict[str, Any] = {}
    for key, value in schema.items():
        here = f"{place}.{key}"
        if key in _DATA:
            kept[key] = value
        elif key in _NAMED:
            kept[key] = _members(value, here, unreadable)
        else:
            kept[key] = _readable(value, here, unreadable)
    return kept


def _without_patterns(schema: dict[str, Any], place: str, unreadable: list[str]) -> dict[str, Any]:
    """Copy one schema, but for the patterns of its own that Python cannot read."""
    kept = dict(schema)
    pattern, patterns = kept.get("pattern"), kept.get("patternProperties")
    if isinstance(pattern, str) and not _compiles(pattern):
        unreadable.append(f"{place}.pattern")
        del kept["pattern"]
    if isinstance(patterns, dict) and not all(map(_compiles, patterns)):
        unreadable.append(f"{place}.patternProperties")
        kept["patternProperties"] = {key: patterns[key] for key in patterns if _compiles(key)}
        for key in _BESIDE:
            kept.pop(key, None)
    return kept


def _members(schemas: Any, place: str, unreadable: list[str]) -> Any:
    """Copy schemas under names of their own, which may be `pattern` or `enum`."""
    if not isinstance(schemas, dict):
        return schemas
    return {
        name: _readable(schema, f"{place}.{name}", unreadable) for name, schema in schemas.items()
    }


def _compiles(pattern: Any) -> bool:
    try:
        re.compile(pattern)
    except (re.error, TypeError, OverflowError, RecursionError):
        return False
    return True


def resolved(schema: Any, root: Mapping[str, Any]) -> Any:
    """Follow a schema's references within its own document, as far as they lead."""
    for _ in range(32):
        reference = schema.get("$ref") if isinstance(schema, dict) else None
        if not isinstance(reference, str) or not reference.startswith("#"):
            break
        found: Any = root
        for part in _pointer(reference):
            found = found.get(part) if isinstance(found, dict) else None
        if found is None:
            break
        schema = found
    return schema


def _pointer(reference: str) -> Iterator[str]:
    """Split a URI fragment that is a JSON pointer (RFC 6901 §6)."""
    for part in reference.removeprefix("#").split("/")[1:]:
        yield part.replace("~1", "/").replace("~0", "~")


def _fault(error: ValidationError) -> str:
    """Say where and which rule, never the value; a missing name is the schema's own word."""
    place = error.json_path.removeprefix("$.")
    place = "the arguments" if place == "$" else place
    if error.validator == "required":
        required: Any = error.validator_value
        given: Any = error.instance
        missing = next(name for name in required if name not in given)
        return f"{place}: missing {missing}"
    if error.validator == "type":
        wanted: Any = error.validator_value
        names = [wanted] if isinstance(wanted, str) else [str(name) for name in wanted]
        return f"{place}: {' or '.join(names)} type"
    return f"{place}: {error.validator}"
