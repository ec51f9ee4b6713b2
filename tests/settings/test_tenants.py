"""Tenants as they are written: what is read, and every fault with its line and member."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from app.protocol.errors import ConfigurationError
from app.settings import Settings, load

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "canary-token-of-the-shop"


def given(tenants: object, **variables: str) -> Settings:
    text = tenants if isinstance(tenants, str) else json.dumps(tenants)
    return load(
        {
            "RELAY_BLACKBOX_API_KEY": "canary-key",
            "RELAY_SERVICE_TOKENS": "canary-operator-token",
            "RELAY_AGENTS": json.dumps({"a": {}, "b": {}}),
            "RELAY_TENANTS": text,
            **variables,
        }
    )


def faults(tenants: object, **variables: str) -> list[str]:
    with pytest.raises(ConfigurationError) as wrong:
        given(tenants, **variables)
    assert "canary" not in "\n".join(wrong.value.faults)
    return list(wrong.value.faults)


def test_a_tenant_is_read() -> None:
    settings = given({"shop": {"service_tokens": TOKEN, "agents": "a,b", "max_sessions": 3}})
    tenant = settings.tenant_settings["shop"]
    assert (tenant.agents, tenant.max_sessions) == (("a", "b"), 3)
    assert TOKEN in settings.secrets
    assert TOKEN not in repr(settings)


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        ({"agents": ["c"]}, "shop.agents: RELAY_AGENTS has no agent 'c'"),
        ({"max_sessions": 0}, "shop.max_sessions: should be greater than or equal to 1"),
        ({"minutes_per_day": -1}, "shop.minutes_per_day: should be greater than 0"),
        ({"max_session": 1}, "shop.max_session: is no member; did you mean max_sessions?"),
        ({"service_tokens": ["short"]}, "shop.service_tokens.0: should have at least 8"),
        (
            {"service_tokens": ["canary-operator-token"]},
            "shop.service_tokens: one is among those of RELAY_SERVICE_TOKENS, too",
        ),
        ({"content_tokens": [TOKEN]}, "shop.content_tokens must be among its service_tokens"),
        ({"allowed_origins": ["shop.example"]}, "shop.allowed_origins must hold origins"),
        ({"jwt_secret": "canary-jwt"}, "shop.jwt_secret needs jwt in RELAY_AUTH"),
        ({"jwt_issuer": "x"}, "shop needs jwt_secret, jwt_public_key or jwt_jwks_url"),
        ({"prices": {"fax": 1}}, "shop.prices.fax"),
    ],
)
def test_a_fault_names_its_member(members: dict[str, Any], fault: str) -> None:
    [told] = faults({"shop": members})
    assert told.startswith(f"RELAY_TENANTS: {fault}")
    assert told.endswith("(line 1 of RELAY_TENANTS)")


def test_an_agent_and_a_token_belong_to_one_tenant() -> None:
    both = {"service_tokens": [TOKEN], "agents": ["a"]}
    told = faults({"one": both, "two": both})
    assert [fault.partition(" (")[0] for fault in told] == [
        "RELAY_TENANTS: two.agents: a belongs to one already",
        "RELAY_TENANTS: two.service_tokens: one is among those of one, too",
    ]


@pytest.mark.parametrize(
    ("profile", "member"),
    [({"fallback": "b"}, "fallback"), ({"route": [{"agent": "b", "weight": 1}]}, "route")],
)
def test_no_agent_of_another_tenant_stands_in(profile: dict[str, Any], member: str) -> None:
    agents = {"RELAY_AGENTS": json.dumps({"a": profile, "b": {}})}
    told = faults({"shop": {"agents": ["a"]}}, **agents)
    assert told == [
        f"RELAY_AGENTS: a.{member} names an agent of another tenant (line 1 of RELAY_AGENTS)"
    ]
    assert given({"shop": {"agents": ["a", "b"]}}, **agents).tenants


def test_jwt_alone_is_enough_where_a_tenant_has_keys() -> None:
    key = {"jwt_secret": "canary-jwt-secret-of-thirty-two-bytes", "agents": ["a"]}
    assert given({"shop": key}, RELAY_AUTH="jwt").tenant_settings["shop"].has_keys
    assert "RELAY_AUTH=jwt needs" in faults({"shop": {}}, RELAY_AUTH="jwt")[0]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\n\nshop:\n  agents: [a]\n  max_sessions: many\n", 5),
        ("# said\nshop:\n  agents: [a]\n  prices: {chat: 1,\n    fax: 1}\n", 5),
        ('{\n "shop": {\n  "agents": [\n   "a",\n   7]}}', 5),
        ("shop:\n  agents: [a]\n\nother:\n  agents: [b]\nshop:\n  agents: [b]\n", 6),
        ("shop:\n  agents: [a\nother: 1\n", 3),
        ("shop:\n  agents: a\n tokens: b\n", 3),
    ],
)
def test_a_fault_in_a_file_names_its_line(tmp_path: Path, text: str, line: int) -> None:
    file = tmp_path / "tenants"
    file.write_text(text)
    environment = {
        "RELAY_BLACKBOX_API_KEY": "canary-key",
        "RELAY_AGENTS": json.dumps({"a": {}, "b": {}}),
        "RELAY_TENANTS_FILE": str(file),
    }
    with pytest.raises(ConfigurationError) as wrong:
        load(environment)
    told = [fault for fault in wrong.value.faults if fault.startswith("RELAY_TENANTS")]
    assert f"(line {line} of RELAY_TENANTS_FILE)" in told[0], wrong.value.faults


def test_a_faulty_agents_file_names_its_line_too(tmp_path: Path) -> None:
    file = tmp_path / "agents"
    file.write_text("one:\n  call_types: [chat]\ntwo.dotted:\n  call_types: [fax]\n")
    with pytest.raises(ConfigurationError) as wrong:
        load({"RELAY_BLACKBOX_API_KEY": "canary-key", "RELAY_AGENTS_FILE": str(file)})
    [told] = wrong.value.faults
    assert told.startswith("RELAY_AGENTS: two.dotted.call_types")
    assert told.endswith("(line 4 of RELAY_AGENTS_FILE)")
