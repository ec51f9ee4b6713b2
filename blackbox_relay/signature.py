"""From a function to a name, a description and a JSON Schema, by pydantic."""

from __future__ import annotations

import inspect
import re
import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticUndefined

from blackbox_relay import exact_json
from blackbox_relay.arguments import Arguments
from blackbox_relay.context import ToolContext
from blackbox_relay.errors import BadArgs, ConfigurationError
from blackbox_relay.schema import InvalidSchema

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic_core import CoreSchema

# The vendor's pattern (D). It sets no length; this one keeps names fit for metrics and logs.
NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,127}")
SECTION: Final = re.compile(r"^(args|arguments|parameters|params)\s*:\s*$", re.IGNORECASE)
OTHER_SECTION: Final = re.compile(r"^(returns?|raises|yields|examples?|notes?)\s*:", re.IGNORECASE)
ENTRY: Final = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")
SPHINX: Final = re.compile(r"^:(?:param|parameter|arg)\s+(?:[\w\[\], |]+\s+)?(\w+)\s*:\s*(.*)$")


class _Plain(GenerateJsonSchema):
    """Leaves the titles out that pydantic derives from names: they tell a model nothing."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False

    def generate(self, schema: CoreSchema, mode: Any = "validation") -> dict[str, Any]:
        made = super().generate(schema, mode)
        made.pop("title", None)
        return made


@dataclass(frozen=True, slots=True)
class Signature:
    """A function's side that an agent sees. `context` names its ToolContext parameter, if any."""

    name: str
    description: str
    parameters: dict[str, Any]
    context: str | None
    model: type[BaseModel]
    taken: Arguments

    def arguments(self, args: Any) -> dict[str, Any]:
        """Check arguments strictly as JSON, and return them as the function's keyword arguments.

        Raises BadArgs.
        """
        try:
            document = exact_json.dumps(self.taken.prepared(args))
            checked = self.model.model_validate_json(document, strict=True)
        except ValidationError as error:
            raise BadArgs(_first_fault(error)) from None
        except exact_json.NumberTooLarge:
            raise BadArgs("a number is too large") from None
        except (TypeError, ValueError, RecursionError):
            raise BadArgs("the arguments are not JSON") from None
        return {
            str(field.alias): getattr(checked, name)
            for name, field in self.model.model_fields.items()
        }


def read(function: Callable[..., Any], name: str | None, description: str | None) -> Signature:
    """Read a function; raises ConfigurationError naming it if it cannot be a tool."""
    origin = origin_of(function)
    name = name or str(getattr(function, "__name__", ""))
    if not NAME.fullmatch(name):
        raise ConfigurationError([f"RELAY_TOOLS: {origin}: no tool may be called {name!r}"])
    doc, described = _docstring(inspect.getdoc(function) or "")
    try:
        hints = typing.get_type_hints(
            function, localns={"ToolContext": ToolContext}, include_extras=True
        )
    except (NameError, TypeError, AttributeError) as error:
        message = f"RELAY_TOOLS: {origin}: a type is not known at run time ({error})"
        raise ConfigurationError([message]) from None
    context: str | None = None
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        hint = hints.get(parameter.name, Any)
        if hint is ToolContext or ToolContext in typing.get_args(hint):
            context = parameter.name
            continue
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            message = f"RELAY_TOOLS: {origin}: parameter {parameter.name!r} cannot be named"
            raise ConfigurationError([message])
        # Numbered names keep clear of pydantic's own attributes; the alias is what is seen.
        fields[f"p{len(fields)}"] = _field(parameter, hint, described.get(parameter.name))
    try:
        # An integer beyond a double's range would become an infinity where a float is wanted.
        config = ConfigDict(extra="forbid", allow_inf_nan=False)
        model = create_model(name, __config__=config, **fields)
        schema = model.model_json_schema(schema_generator=_Plain)
        taken = Arguments(schema)
    except (PydanticUserError, InvalidSchema, TypeError) as error:
        message = f"RELAY_TOOLS: {origin}: a parameter has no JSON Schema ({type(error).__name__})"
        raise ConfigurationError([message]) from None
    return Signature(name, description or doc, schema, context, model, taken)


def _field(parameter: inspect.Parameter, hint: Any, meaning: str | None) -> tuple[Any, FieldInfo]:
    default = ... if parameter.default is parameter.empty else parameter.default
    if isinstance(default, FieldInfo):
        hint, default = typing.Annotated[hint, default], default.get_default()
        default = ... if default is PydanticUndefined else default
    # A description of None would hide the one in the annotation.
    more: dict[str, Any] = {} if meaning is None else {"description": meaning}
    return hint, Field(default, alias=parameter.name, **more)


def origin_of(function: Callable[..., Any]) -> str:
    """Return where a function is from, as `module:name`."""
    return f"{function.__module__}:{getattr(function, '__qualname__', function)}"


def _first_fault(error: ValidationError) -> str:
    """Say where and how, never what: pydantic's own text would repeat the value."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    known = first["type"] != "extra_forbidden"
    place = ".".join(str(part) for part in first["loc"]) if known else "an unknown argument"
    return f"{place or 'the arguments'}: {first['type'].replace('_', ' ')}"


def _docstring(doc: str) -> tuple[str, dict[str, str]]:
    """Split a docstring into its text and its parameters' meanings (Google or Sphinx style)."""
    text: list[str] = []
    described: dict[str, str] = {}
    section, last = False, ""
    for line in doc.splitlines():
        stripped = line.strip()
        if sphinx := SPHINX.match(stripped):
            last = sphinx[1]
            described[last] = sphinx[2]
        elif SECTION.match(stripped):
            section, last = True, ""
        elif OTHER_SECTION.match(stripped) or stripped.startswith(":return"):
            break
        elif section and line[:1].isspace() and (entry := ENTRY.match(stripped)):
            last = entry[1]
            described[last] = entry[2]
        elif section and last and line[:1].isspace() and stripped:
            described[last] = f"{described[last]} {stripped}".strip()
        elif not section and not described:
            text.append(line)
    return "\n".join(text).strip(), described
