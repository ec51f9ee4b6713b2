from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.protocol.errors import ConfigurationError
from app.tools.interface import NAME
from app.tools.mcp_spec import assign, mcp_servers, tool_name


@settings(deadline=None)
@given(st.text(), st.none() | st.text())
def test_every_name_becomes_one_that_the_vendor_allows(name: str, prefix: str | None) -> None:
    assert NAME.fullmatch(tool_name(name, prefix))


def test_good_names_stay_as_they_are() -> None:
    assert tool_name("find_order") == "find_order"
    assert tool_name("find-order") == "find_order"
    assert tool_name("2fa") == "_2fa"
    assert tool_name("find", "crm") == "crm_find"


def test_a_name_that_is_taken_gets_its_server_in_front() -> None:
    given_names, left = assign(
        [
            ("crm", None, ["find", "own", "a-b", "a.b"]),
            ("shop", None, ["find", "buy"]),
            ("more", "x", ["find"]),
        ],
        {"own"},
    )
    assert given_names == {
        "find": ("crm", "find"),
        "crm_own": ("crm", "own"),
        "a_b": ("crm", "a-b"),
        "crm_a_b": ("crm", "a.b"),
        "shop_find": ("shop", "find"),
        "buy": ("shop", "buy"),
        "x_find": ("more", "find"),
    }
    assert left == []


def test_what_finds_no_name_is_told() -> None:
    given_names, left = assign([("s", None, ["a-b", "a.b", "a b"])], ())
    assert len(given_names) == 2
    assert left == [("s", "a b")]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.none() | st.just("p"), st.lists(st.text(max_size=3))),
        max_size=4,
        unique_by=lambda entry: entry[0],
    ),
    st.sets(st.text(max_size=3)),
)
def test_no_two_tools_share_a_name_and_none_is_lost(
    found: list[tuple[str, str | None, list[str]]], taken: set[str]
) -> None:
    given_names, left = assign(found, taken)
    assert not set(given_names) & taken
    every = sorted((server, tool) for server, _, tools in found for tool in tools)
    assert sorted([*given_names.values(), *left]) == every


def test_every_fault_is_told_without_values() -> None:
    written = {
        "no space": {"command": "x"},
        "both": {"command": "x", "url": "https://canary.example.com"},
        "none": {},
        "scheme": {"url": "ftp://canary"},
        "headers": {"url": "https://a.example.com", "headers": {"X": "canary\n"}},
        "typo": {"command": "x", "comand": "canary"},
    }
    with pytest.raises(ConfigurationError) as caught:
        mcp_servers(written)
    assert len(caught.value.faults) == len(written)
    assert "canary" not in str(caught.value)
    assert "RELAY_MCP_SERVERS: both: needs either url or command" in caught.value.faults


def test_no_secret_shows() -> None:
    specs = mcp_servers(
        {
            "a": {"url": "https://a.example.com/canary", "headers": {"authorization": "canary"}},
            "b-1": {"command": "run", "args": ["--key=canary"], "env": {"KEY": "canary"}},
        }
    )
    assert "canary" not in repr(specs)
    assert [spec.origin for spec in specs.values()] == ["https://a.example.com", "stdio:run"]
