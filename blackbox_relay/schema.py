"""Validates arguments and answers against a JSON Schema from outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError, ValidationError, best_match
from jsonschema.validators import validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

from blackbox_relay.errors import BadArgs, ToolFailed
from blackbox_relay.patterns import LinearPatterns, compiled

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

    JSON Schema's patterns are ECMA-262's (draft 2020-12, core §6.4). Those that cannot be matched
    in linear time (look-around, back-references) are left out of the check, and `unreadable` says
    where they stand; so is `unevaluatedProperties` in a schema with `patternProperties`.
    """

    def __init__(self, schema: Schema) -> None:
        """Take a schema; raises InvalidSchema."""
        unreadable: list[str] = []
        kind = validator_for(schema, default=Draft202012Validator)
        self.schema: dict[str, Any] = _readable(dict(schema), "$", unreadable)
        if _has_patterned_names(self.schema):
            self.schema = _without_unevaluated(self.schema, "$", unreadable)
        self.unreadable = tuple(unreadable)
        try:
            # Its patterns were read already, by other rules than Python's.
            cast("Any", kind).check_schema(self.schema, format_checker=FormatChecker(()))
        except SchemaError as error:
            raise InvalidSchema(f"no JSON Schema at {error.json_path}") from None
        self.validator = LinearPatterns(kind).kind(self.schema, registry=Registry())

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
    """Copy a schema without the patterns that cannot be matched, and name their places.

    `$schema` goes, too: jsonschema would take its own validator for the schema that names it.
    """
    if isinstance(schema, list):
        return [_readable(item, f"{place}[{n}]", unreadable) for n, item in enumerate(schema)]
    if not isinstance(schema, dict):
        return schema
    schema = _without_patterns(schema, place, unreadable)
    kept: dict[str, Any] = {}
    for key, value in schema.items():
        here = f"{place}.{key}"
        if key == "$schema" and isinstance(value, str):
            continue
        if key in _DATA:
            kept[key] = value
        elif key in _NAMED:
            kept[key] = _members(value, here, unreadable)
        else:
            kept[key] = _readable(value, here, unreadable)
    return kept


def _without_patterns(schema: dict[str, Any], place: str, unreadable: list[str]) -> dict[str, Any]:
    """Copy one schema, but for the patterns of its own that cannot be matched."""
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
    return compiled(pattern) is not None


def _has_patterned_names(schema: Any) -> bool:
    """Tell whether `patternProperties` stands anywhere in a schema."""
    if isinstance(schema, list):
        return any(map(_has_patterned_names, schema))
    if not isinstance(schema, dict):
        return False
    return "patternProperties" in schema or any(map(_has_patterned_names, schema.values()))


def _without_unevaluated(schema: Any, place: str, unreadable: list[str]) -> Any:
    """Copy a schema without `unevaluatedProperties`, and name their places."""
    if isinstance(schema, list):
        each = enumerate(schema)
        return [_without_unevaluated(item, f"{place}[{n}]", unreadable) for n, item in each]
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    for key, value in schema.items():
        here = f"{place}.{key}"
        if key == "unevaluatedProperties":
            unreadable.append(here)
        else:
            kept[key] = value if key in _DATA else _without_unevaluated(value, here, unreadable)
    return kept


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
