from __future__ import annotations

import enum
from typing import Annotated, Any

import jsonschema
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from app.protocol.errors import ConfigurationError
from app.tools import BadArgs, ToolContext, tool


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


class Item(BaseModel):
    name: str
    count: int = 1


@tool
def place_order(
    items: list[Item],
    size: Size = Size.SMALL,
    note: Annotated[str, Field(description="For the kitchen", max_length=20)] = "",
    schema: int = 0,
    *,
    ctx: ToolContext,
) -> dict[str, Any]:
    """Place an order.

    Use when the customer has said what they want.

    Args:
        items: What to order,
            one entry each.
        size (Size): How large.

    Returns:
        The order.
    """
    return {"items": items, "size": size, "more": (note, schema), "by": ctx.principal.subject}


def test_name_and_description_come_from_the_function() -> None:
    assert place_order.signature.name == "place_order"
    assert place_order.signature.description == (
        "Place an order.\n\nUse when the customer has said what they want."
    )


def test_schema_comes_from_the_signature_and_hides_the_context() -> None:
    schema = place_order.signature.parameters
    jsonschema.Draft202012Validator.check_schema(schema)
    assert list(schema["properties"]) == ["items", "size", "note", "schema"]
    assert schema["required"] == ["items"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["items"]["description"] == "What to order, one entry each."
    assert schema["properties"]["note"]["description"] == "For the kitchen"
    assert "title" not in schema


def test_a_declared_tool_is_still_its_function(ctx: ToolContext) -> None:
    made = place_order([Item(name="tea")], ctx=ctx)
    assert made["by"] == "customer-7"
    assert place_order.__name__ == "place_order"


def test_arguments_arrive_as_their_types() -> None:
    given_args = place_order.signature.arguments({"items": [{"name": "tea"}], "size": "large"})
    assert given_args == {
        "items": [Item(name="tea")],
        "size": Size.LARGE,
        "note": "",
        "schema": 0,
    }


def test_name_description_and_timeout_can_be_given() -> None:
    @tool(name="lookup", description="Look it up.", timeout=3)
    async def anything() -> None: ...

    assert anything.signature.name == "lookup"
    assert anything.signature.description == "Look it up."
    assert anything.timeout == 3


def test_a_default_may_be_a_field() -> None:
    @tool
    def seen(
        order: str = Field(max_length=3), more: int = Field(5, description="More")
    ) -> None: ...

    assert seen.signature.parameters["required"] == ["order"]
    assert seen.signature.parameters["properties"]["more"]["default"] == 5
    assert seen.signature.arguments({"order": "abc"}) == {"order": "abc", "more": 5}
    with pytest.raises(BadArgs):
        seen.signature.arguments({"order": "abcd"})


def test_sphinx_parameters_are_read() -> None:
    @tool
    def seen(order: str) -> None:
        """See.

        :param order: The order's number.
        :returns: nothing
        """

    assert seen.signature.description == "See."
    assert seen.signature.parameters["properties"]["order"]["description"] == "The order's number."


@pytest.mark.parametrize(
    ("args", "fault"),
    [
        ({}, "items: missing"),
        ({"items": "tea"}, "items: list type"),
        ({"items": [{"name": 5}]}, "items.0.name: string type"),
        ({"items": [], "SECRET": 1}, "an unknown argument: extra forbidden"),
        ({"items": [], "size": "SECRET"}, "size: enum"),
        ({"items": [], "note": "SECRET" * 20}, "note: string too long"),
        ({"items": [], "note": "\ud800"}, "the arguments are not JSON"),
        ({"items": [], "schema": "5"}, "schema: int type"),
        (["SECRET"], "the arguments: model type"),
        ("SECRET", "the arguments: model type"),
        (7, "the arguments: model type"),
    ],
)
def test_bad_args_say_where_and_never_what(args: Any, fault: str) -> None:
    with pytest.raises(BadArgs) as caught:
        place_order.signature.arguments(args)
    assert caught.value.fault == fault
    assert "SECRET" not in repr(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(JSON)
def test_whatever_an_agent_sends_is_taken_or_is_bad_args(args: Any) -> None:
    """What the model accepts, the schema that the agent was shown accepts too."""
    try:
        place_order.signature.arguments(args)
    except BadArgs:
        return
    jsonschema.validate(orjson.loads(orjson.dumps(args)), place_order.signature.parameters)


def test_what_cannot_be_a_tool_is_named() -> None:
    def spread(*orders: str) -> None: ...

    def opaque(order: object = lambda: None, other: type[Item] | None = None) -> None: ...

    with pytest.raises(ConfigurationError, match=r"RELAY_TOOLS: .*spread: parameter 'orders'"):
        tool(spread)
    with pytest.raises(ConfigurationError, match=r"no tool may be called 'no-dashes'"):
        tool(name="no-dashes")(opaque)
    with pytest.raises(ConfigurationError, match=r"no tool may be called '<lambda>'"):
        tool(lambda: None)
    with pytest.raises(ConfigurationError, match="a timeout is more than 0"):
        tool(timeout=0)(place_order.function)


def test_a_type_without_a_schema_is_named() -> None:
    class Opaque:
        pass

    def takes(thing: Any) -> None: ...

    takes.__annotations__["thing"] = Opaque
    with pytest.raises(ConfigurationError, match="a parameter has no JSON Schema"):
        tool(takes)
    takes.__annotations__["thing"] = "Nowhere"
    with pytest.raises(ConfigurationError, match="a type is not known at run time"):
        tool(takes)
