"""How an operator writes a guardrail (RELAY_GUARDRAILS)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from app.protocol.errors import ConfigurationError
from app.tools.http_spec import safe_url, webhook_secret

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

VARIABLE: Final = "RELAY_GUARDRAILS"
NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
MAX_GUARDRAILS: Final = 64


def _name(value: str) -> str:
    if not NAME.fullmatch(value):
        raise ValueError("must be 1 to 64 of A-Z a-z 0-9 _ . - and begin with a letter or _")
    return value


class GuardrailSpec(BaseModel):
    """One guardrail as written. `timeout` is in seconds, for one text."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Annotated[str, AfterValidator(_name)]
    on: Annotated[
        frozenset[Literal["user", "agent", "tool_args", "tool_result"]], Field(min_length=1)
    ]
    url: Annotated[SecretStr, AfterValidator(safe_url)] | None = None
    python: str | None = None
    secret: Annotated[SecretStr, AfterValidator(webhook_secret)] | None = None
    agents: frozenset[str] | None = None
    timeout: Annotated[float, Field(gt=0, le=60, allow_inf_nan=False)] = 2.0
    on_error: Literal["pass", "block"] = "block"

    @model_validator(mode="after")
    def _one_of_both(self) -> GuardrailSpec:
        if (self.url is None) == (self.python is None):
            raise ValueError("needs either url or python")
        if self.secret is not None and self.url is None:
            raise ValueError("a secret signs what goes to a url: there is none")
        return self


def guardrail_specs(written: Iterable[Any], agents: Collection[str]) -> list[GuardrailSpec]:
    """Read the list; `agents` are the names there are.

    Raises ConfigurationError with a line for every fault: the item's position, from 1, its name if
    it has one, and its member; never a value.
    """
    specs: list[GuardrailSpec] = []
    faults: list[str] = []
    items = list(written)
    if len(items) > MAX_GUARDRAILS:
        faults.append(f"{VARIABLE}: there are more than {MAX_GUARDRAILS} guardrails")
    for position, value in enumerate(items[:MAX_GUARDRAILS], 1):
        where = _place(position, value)
        try:
            spec = GuardrailSpec.model_validate(value)
        except ValidationError as error:
            faults.extend(f"{where}{fault}" for fault in _faults_of(error))
            continue
        if any(spec.name == other.name for other in specs):
            faults.append(f"{where}.name: another guardrail has this name")
        unknown = sorted((spec.agents or frozenset()) - set(agents))
        if unknown:
            faults.append(f"{where}.agents: there is no agent {unknown[0]!r}")
        specs.append(spec)
    if faults:
        raise ConfigurationError(faults)
    return specs


def _place(position: int, value: Any) -> str:
    name = value.get("name") if isinstance(value, dict) else None
    known = f" ({name})" if isinstance(name, str) and NAME.fullmatch(name) else ""
    return f"{VARIABLE}: item {position}{known}"


def _faults_of(error: ValidationError) -> list[str]:
    """Return `.member: what is wrong` for each fault, each once."""
    found = [
        "".join(f".{part}" for part in fault["loc"])
        + ": "
        + fault["msg"].removeprefix("Value error, ")
        for fault in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    return list(dict.fromkeys(found))
