"""Arguments against a JSON Schema that somebody else wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError, best_match
from referencing import Registry
from referencing.exceptions import Unresolvable

from app.tools.port import BadArgs, ToolFailed

if TYPE_CHECKING:
    from app.tools.port import Schema


class ArgsCheck:
    """Checks arguments by a schema (draft 2020-12); a reference outside of it is never fetched."""

    def __init__(self, schema: Schema) -> None:
        """Take a schema; raises ValueError, with where it is wrong, if it is none."""
        try:
            Draft202012Validator.check_schema(dict(schema))
        except SchemaError as error:
            raise ValueError(f"no JSON Schema at {error.json_path}") from None
        self._validator = Draft202012Validator(dict(schema), registry=Registry())

    def check(self, args: Any) -> None:
        """Raise BadArgs if the arguments do not fit, ToolFailed if the schema cannot tell."""
        try:
            error = best_match(self._validator.iter_errors(args))
        except Unresolvable:
            raise ToolFailed("schema_unresolvable") from None
        except RecursionError:
            raise BadArgs("the arguments are nested too deeply") from None
        if error is not None:
            raise BadArgs(_fault(error))


def _fault(error: ValidationError) -> str:
    """Say where and which rule, never the value; a missing name is the schema's own word."""
    place = error.json_path.removeprefix("$.")
    place = "the arguments" if place == "$" else place
    if error.validator == "required":
        required: Any = error.validator_value
        given: Any = error.instance
        missing = next(name for name in required if name not in given)
        return f"{place}: missing {missing}"
    return f"{place}: {error.validator}"
