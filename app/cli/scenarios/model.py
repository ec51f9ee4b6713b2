"""What a scenario file may say; also the source of its JSON Schema."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

MAX_TURNS: Final = 1000
NORMAL: Final = 1000
"""The close code of a conversation that ended normally (RFC 6455 §7.4.1)."""


def _as_items(value: object) -> object:
    """One item as a list of one."""
    return value if isinstance(value, list) else [value]


def _as_ending(value: object) -> object:
    """The short forms of `ends`: who ends it, or the close code."""
    if isinstance(value, str):
        return {"by": value}
    if type(value) is int:
        return {"code": value}
    return value


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as fault:
        raise ValueError(f"is no regular expression: {fault.msg}") from None
    return value


Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]
Pause = Annotated[float, Field(ge=0, le=60, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1, max_length=64 * 1024)]
Texts = Annotated[list[Text], BeforeValidator(_as_items, json_schema_input_type=Text | list[Text])]
Patterns = Annotated[
    list[Annotated[Text, AfterValidator(_pattern)]],
    BeforeValidator(_as_items, json_schema_input_type=Text | list[Text]),
]


class _Member(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class ToolExpectation(_Member):
    """A tool that the agent has to ask for in this turn."""

    name: Text = Field(description="The tool's name.")
    args: dict[str, Any] | None = Field(
        None, description="Arguments that it must be asked with; others are not looked at."
    )


class Expectation(_Member):
    """What the agent has to do in a turn. All that is given must hold at once."""

    text: Text | None = Field(
        None, description="Exactly what the agent says in the whole turn; blanks count as one."
    )
    contains: Texts = Field([], description="What is found somewhere in what the agent says.")
    excludes: Texts = Field([], description="What is found nowhere in what the agent says.")
    matches: Patterns = Field(
        [], description="Regular expressions, each found somewhere in what the agent says."
    )
    tool: Annotated[
        list[ToolExpectation],
        BeforeValidator(_as_items, json_schema_input_type=ToolExpectation | list[ToolExpectation]),
    ] = Field([], description="Tools that the agent asks for, in any order.")
    within: Seconds | None = Field(
        None, description="Seconds for all of that; default: the scenario's `within`."
    )


class Turn(_Member):
    """One turn: what the user says, and what the agent has to do then."""

    say: Text | None = Field(None, description="What the user says; without it: the agent begins.")
    expect: Expectation | None = Field(
        None, description="What the agent has to do; without it: whatever it does is right."
    )

    @model_validator(mode="after")
    def _not_empty(self) -> Turn:
        if self.say is None and self.expect is None:
            raise ValueError("has neither say nor expect")
        return self


class Mock(_Member):
    """One answer to a tool that is not run. Exactly one of `result` and `error` is given."""

    args: dict[str, Any] | None = Field(
        None, description="Answers only calls with these arguments; others are not looked at."
    )
    result: Any = Field(None, description="What the agent is told, any JSON.")
    error: Text | None = Field(None, description="What the agent is told has gone wrong.")
    delay: Pause = Field(0.0, description="Seconds until the answer.")

    @model_validator(mode="after")
    def _one_answer(self) -> Mock:
        if ("result" in self.model_fields_set) is ("error" in self.model_fields_set):
            raise ValueError("needs exactly one of result and error")
        return self


class Ending(_Member):
    """How the conversation ends after the last turn."""

    by: Literal["agent", "client"] = Field(
        "agent", description="`agent`: by itself; `client`: it is still open, and is hung up."
    )
    code: Annotated[int, Field(ge=NORMAL, le=4999)] = Field(NORMAL, description="The close code.")
    status: Text | None = Field(None, description="`status` of the agent's conversationResult.")
    within: Seconds | None = Field(
        None, description="Seconds until it ends; default: the scenario's `within`."
    )


class Scenario(_Member):
    """One conversation with an agent, and what is expected of it."""

    name: Text | None = Field(None, description="Default: the file's name.")
    description: str | None = Field(None, description="For readers.")
    agent: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] | None = Field(
        None, description="The agent's name in RELAY_AGENTS; default: the gateway's default one."
    )
    additional_data: dict[str, Any] = Field(
        {}, description="Verified data of the credential, as for POST /v1/tickets."
    )
    mocks: dict[
        Text,
        Annotated[list[Mock], BeforeValidator(_as_items, json_schema_input_type=Mock | list[Mock])],
    ] = Field(
        {},
        description="Tools that are answered in place, by name; of several answers the first that "
        "fits the arguments.",
    )
    within: Seconds = Field(30.0, description="Seconds that a turn may take.")
    settle: Pause = Field(
        0.5, description="Seconds of silence after which an agent's turn counts as over."
    )
    time_limit: Seconds = Field(300.0, description="Seconds for the whole conversation.")
    turns: Annotated[list[Turn], Field(min_length=1, max_length=MAX_TURNS)] = Field(
        description="The turns, in their order."
    )
    ends: (
        Annotated[
            Ending,
            BeforeValidator(
                _as_ending,
                json_schema_input_type=Literal["agent", "client"]
                | Annotated[int, Field(ge=NORMAL, le=4999)]
                | Ending,
            ),
        ]
        | None
    ) = Field(
        None,
        description="How it ends: `agent`, `client`, a close code, or all of these. Default: it "
        "may go on or end normally.",
    )
