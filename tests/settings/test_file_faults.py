"""Faults in the files of agents and tenants: each names its line and its member, and no value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.protocol.errors import ConfigurationError
from app.settings import load, with_source_lines

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "canary-token-of-the-shop"
AGENTS = "one:\n  call_types: [chat]\ntwo:\n  call_types: [chat]\n"
TENANTS = f"shop:\n  service_tokens: [{SECRET}]\n  agents: [one]\n"


def environment(folder: Path, agents: str = AGENTS, tenants: str = TENANTS) -> dict[str, str]:
    paths = {"AGENTS": folder / "agents.yaml", "TENANTS": folder / "tenants.yaml"}
    for path, text in zip(paths.values(), (agents, tenants), strict=True):
        path.write_text(text)
    files = {f"RELAY_{name}_FILE": str(path) for name, path in paths.items()}
    return files | {"RELAY_BLACKBOX_API_KEY": "key", "RELAY_SERVICE_TOKENS": "canary-operators"}


def faults(folder: Path, **files: str) -> list[str]:
    with pytest.raises(ConfigurationError) as wrong:
        load(environment(folder, **files))
    assert SECRET not in str(wrong.value.faults)
    return list(wrong.value.faults)


def test_sound_files_have_no_fault(tmp_path: Path) -> None:
    assert load(environment(tmp_path)).tenant_settings.keys() == {"shop"}


@pytest.mark.parametrize(
    ("more", "line", "fault"),
    [
        ("  max_sessions: true\n", 4, "shop.max_sessions: should be a number"),
        ("  prices:\n    chat: 1\n    fax: 2\n", 6, "shop.prices.fax: should be 'chat', "),
        ("  allowed_origins: 7\n", 4, "shop.allowed_origins: should be a list"),
        ("  max_session: 7\n", 4, "shop.max_session: is no member; did you mean max_sessions?"),
        ("  jwt_issuer: 7\n", 4, "shop.jwt_issuer: should be a text: put it in quotes"),
        ("other:\n  service_tokens: [long-enough, short]\n", 5, "other.service_tokens.1: should h"),
        ("other: 5\n", 4, "other: should be a mapping of members"),
        ("Other One: {}\n", 4, "'Other One' is no name: 1 to 63 of a-z 0-9 _ -"),
        ("7: {}\n", 4, "7 must be a text: put it in quotes"),
        ("  agents: [two]\n", 4, "shop.agents is there twice"),
        ("\tx: 1\n", 4, "is neither JSON nor YAML"),
    ],
)
def test_a_tenants_fault_names_line_and_member(
    tmp_path: Path, more: str, line: int, fault: str
) -> None:
    [told] = faults(tmp_path, tenants=TENANTS + more)
    assert told.startswith(f"RELAY_TENANTS: {fault}")
    assert told.endswith(f"(line {line} of RELAY_TENANTS_FILE)")


@pytest.mark.parametrize(
    ("more", "line", "fault"),
    [
        ("  call_typs: [chat]\n", 5, "two.call_typs: is no member; did you mean call_types?"),
        ("  browser_tools: show\n", 5, "two.browser_tools: should be a list or should be 'inte"),
        ("  route:\n    - {agent: two, weight: -1}\n", 6, "two.route.0.weight: should be great"),
        ("  fallback: nine\n", 5, "two.fallback names no agent"),
        ("three: chat\n", 5, "three: should be a mapping of members"),
        ("th/ree: {}\n", 5, "'th/ree' is no name: 1 to 64 of"),
    ],
)
def test_an_agents_fault_names_line_and_member(
    tmp_path: Path, more: str, line: int, fault: str
) -> None:
    [told] = faults(tmp_path, agents=AGENTS + more)
    assert told.startswith(f"RELAY_AGENTS: {fault}")
    assert told.endswith(f"(line {line} of RELAY_AGENTS_FILE)")


def test_a_text_that_is_no_mapping_is_named_at_its_line(tmp_path: Path) -> None:
    [told] = faults(tmp_path, tenants="\n- shop\n- other\n")
    assert told == (
        "RELAY_TENANTS: must be a mapping of names to definitions (line 2 of RELAY_TENANTS_FILE)"
    )


def test_a_file_that_is_too_large_is_not_read_in_half(tmp_path: Path) -> None:
    """Its second half may hold tenants, whose sessions would have no bounds without them."""
    filler = f"# {'x' * (1 << 20)}\nother: {{}}\n"
    assert faults(tmp_path, tenants=TENANTS + filler) == [
        "RELAY_TENANTS_FILE: the file is larger than 1 MiB"
    ]


def test_a_fault_that_is_found_later_gets_its_line(tmp_path: Path) -> None:
    """Whether an approved tool exists is known only when tools are."""
    agents = f"{AGENTS}  approve:\n    pay: user\n"
    fault = "RELAY_AGENTS: two.approve.pay: no tool has this name"
    given = environment(tmp_path, agents=agents)
    assert with_source_lines([fault, "RELAY_PORT is odd"], given) == [
        f"{fault} (line 6 of RELAY_AGENTS_FILE)",
        "RELAY_PORT is odd",
    ]
