"""Arguments as models write them, alike for every kind of tool."""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from app.tools import BadArgs, tool
from blackbox_relay.arguments import Arguments
from blackbox_relay.schema import InvalidSchema


class Item(BaseModel):
    sku: str
    count: int = 1
    note: str | None = "none"


@tool
def order(
    *,
    number: str,
    items: list[Item],
    limit: int = 10,
    tag: str = "x",
    price: float = 1.5,
    size: Literal[1, 2] = 1,
    parent: int | None = 7,
    pair: tuple[int, str] = (1, "a"),
    counts: dict[str, int] | None = None,
    either: int | str = 0,
) -> None:
    """Order."""


@tool
def nothing() -> None:
    """Take nothing."""


ORDER = order.signature
SCHEMA = Arguments(ORDER.parameters)
FULL = {"number": "A-1", "items": []}


def by_function(args: Any) -> dict[str, Any]:
    """What the function gets, as JSON."""
    return {
        name: [item.model_dump() for item in value] if name == "items" else value
        for name, value in ORDER.arguments(args).items()
    }


@pytest.mark.parametrize(
    "args",
    [
        json.dumps(FULL),
        f"  {json.dumps(FULL)}\n",
        FULL | {"limit": None, "tag": None},
        FULL | {"price": None, "size": None, "pair": None},
    ],
    ids=["string", "blanks", "nulls", "more-nulls"],
)
def test_the_same_call_in_other_words(args: Any) -> None:
    assert by_function(args) == by_function(FULL)
    assert SCHEMA.checked(args) == FULL


@pytest.mark.parametrize("args", [None, "", " \n", "null", "{}", {}])
def test_nothing_is_no_arguments(args: Any) -> None:
    assert nothing.signature.arguments(args) == {}
    assert Arguments({"type": "object"}).checked(args) == {}
    with pytest.raises(BadArgs, match="missing"):
        ORDER.arguments(args)


@pytest.mark.parametrize("args", ["[]", "7", '"{}"', "{", "text", '"null"', [], 7, True, "\ud800"])
def test_what_is_no_object_stays_none(args: Any) -> None:
    for refuses in (nothing.signature.arguments, Arguments({"type": "object"}).checked):
        with pytest.raises(BadArgs):
            refuses(args)


def test_a_string_that_is_wanted_stays_a_string() -> None:
    written = '{"a": 1}'
    assert by_function({"number": written, "items": [], "tag": "null"})["number"] == written
    assert by_function({"number": "", "items": [], "tag": "null"})["tag"] == "null"
    for schema in ({"type": "string"}, {"type": ["string", "null"]}):
        assert Arguments(schema).checked(written) == written
        assert Arguments(schema).checked("") == ""
    with pytest.raises(BadArgs, match="items: list type"):
        ORDER.arguments({"number": "1", "items": "[]"})
    with pytest.raises(BadArgs, match="items: array type"):
        SCHEMA.checked({"number": "1", "items": "[]"})


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ({"limit": 1.0}, {"limit": 1}),
        ({"limit": 1e2}, {"limit": 100}),
        ({"limit": 1e30}, {"limit": 10**30}),
        ({"limit": -0.0}, {"limit": 0}),
        ({"size": 2.0}, {"size": 2}),
        ({"parent": 3.0}, {"parent": 3}),
        ({"parent": None}, {"parent": None}),
        ({"pair": [2.0, "b"]}, {"pair": [2, "b"]}),
        ({"counts": {"a": 1.0}}, {"counts": {"a": 1}}),
        ({"price": 2.0}, {"price": 2.0}),
        ({"price": 2}, {"price": 2}),
        ({"either": 5.0}, {"either": 5}),
        ({"either": "5.0"}, {"either": "5.0"}),
    ],
)
def test_numbers_that_the_schema_holds_equal(given: dict[str, Any], taken: dict[str, Any]) -> None:
    found = by_function(FULL | given)
    exact = SCHEMA.checked(FULL | given)
    for name, value in taken.items():
        assert found[name] == (tuple(value) if name == "pair" else value)
        assert exact[name] == value
        assert repr(exact[name]) == repr(value)


@pytest.mark.parametrize(
    "given",
    [{"limit": 1.5}, {"limit": "1"}, {"limit": True}, {"size": 3.0}, {"number": None}, {"no": 1}],
)
def test_what_the_schema_forbids_stays_forbidden(given: dict[str, Any]) -> None:
    for refuses in (ORDER.arguments, SCHEMA.checked):
        with pytest.raises(BadArgs):
            refuses(FULL | given)


def test_members_within_are_fitted_as_well() -> None:
    given = FULL | {
        "items": [{"sku": "s", "count": 2.0, "note": None}, {"sku": "t", "count": None}]
    }
    assert by_function(given)["items"] == [
        {"sku": "s", "count": 2, "note": None},
        {"sku": "t", "count": 1, "note": "none"},
    ]
    assert SCHEMA.checked(given)["items"] == [
        {"sku": "s", "count": 2, "note": None},
        {"sku": "t"},
    ]


def test_every_way_in_which_a_schema_is_put_together() -> None:
    schema: dict[str, Any] = {
        "type": "object",
        "required": ["all"],
        "properties": {
            "all": {"allOf": [{"type": "integer"}, {"minimum": 1}]},
            "one": {"oneOf": [{"type": "object", "properties": {"n": {"type": "integer"}}}]},
            "const": {"const": 7},
            "list": {"type": "array", "items": {"$ref": "#/$defs/a~1b"}},
            "lost": {"$ref": "#/$defs/none/at/all"},
            "any": True,
        },
        "$defs": {"a/b": {"type": "integer"}},
    }
    taken = Arguments({**schema, "properties": {**schema["properties"], "lost": {}}})
    assert taken.checked(
        {"all": 3.0, "one": {"n": 1.0, "m": None}, "const": 7.0, "list": [1.0], "any": None}
    ) == {"all": 3, "one": {"n": 1, "m": None}, "const": 7, "list": [1], "any": None}
    with pytest.raises(BadArgs, match="missing all"):
        taken.checked({"all2": None})


@pytest.mark.parametrize(
    "args",
    [
        {"n": math.inf},
        {"canary": [{"canary": -math.inf}]},
        '{"n": 1.5e9999}',
        '{"n": [' + "1" * 5000 + "]}",
    ],
    ids=["known", "unknown", "fraction", "digits"],
)
def test_a_number_that_was_lost_is_refused_by_name(args: Any) -> None:
    @tool
    def probe(n: Any = None) -> None: ...

    taken = Arguments({"type": "object", "properties": {"n": {}}})
    for refuses in (probe.signature.arguments, taken.checked):
        with pytest.raises(BadArgs, match="the number is too large") as caught:
            refuses(args)
        assert "canary" not in str(caught.value)


def test_a_float_never_becomes_an_infinity() -> None:
    @tool
    def probe(n: float) -> None: ...

    assert probe.signature.arguments({"n": 10**300}) == {"n": 1e300}
    with pytest.raises(BadArgs, match="n: finite number"):
        probe.signature.arguments({"n": 10**400})
    with pytest.raises(BadArgs, match="too large"):
        Arguments({"properties": {"n": {"multipleOf": 0.1}}}).checked({"n": 10**400})


def test_depth_and_schemas_without_end_are_refused() -> None:
    deep: Any = 1
    for _ in range(3000):
        deep = [deep]
    endless = Arguments({"anyOf": [{"$ref": "#"}], "properties": {}})
    for taken, args in ((Arguments({}), {"n": deep}), (endless, {"n": 1})):
        with pytest.raises(BadArgs, match="nested too deeply"):
            taken.checked(args)


def test_python_reads_its_own_patterns_even_where_json_schema_cannot() -> None:
    @tool
    def probe(name: Annotated[str, Field(pattern="^\\p{L}+$")]) -> None: ...

    assert probe.signature.arguments({"name": "äé"}) == {"name": "äé"}
    with pytest.raises(BadArgs, match="name: string pattern mismatch"):
        probe.signature.arguments({"name": "7"})
    with pytest.raises(InvalidSchema, match=r"no JSON Schema at \$.type"):
        Arguments({"type": "no-type"})


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["limit", "tag", "price", "parent", "either", "size"]),
        st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    )
)
def test_a_function_takes_what_its_schema_takes(given: dict[str, Any]) -> None:
    """A function, whose arguments pydantic checks, judges as a tool does that has the schema."""
    args = FULL | given
    try:
        taken = SCHEMA.checked(args)
    except BadArgs:
        with pytest.raises(BadArgs):
            ORDER.arguments(args)
        return
    found = by_function(args)
    for name, value in taken.items():
        # A function's `float` is one: whole numbers beyond 2^53 are rounded.
        assert found[name] == (float(value) if isinstance(found[name], float) else value)


def test_arguments_are_never_changed_in_place() -> None:
    args = FULL | {"limit": None, "items": [{"sku": "s", "count": 2.0}]}
    before = json.dumps(args)
    SCHEMA.checked(args)
    assert json.dumps(args) == before
