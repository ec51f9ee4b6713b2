"""What is wrong with the settings of the console's sign-in, told at the start."""

from __future__ import annotations

import pytest

from app.protocol.errors import ConfigurationError
from app.settings import load

GOOD = {
    "RELAY_BLACKBOX_API_KEY": "canary-api-key-77aa",
    "RELAY_CONSOLE_OIDC_ISSUER": "https://login.example.com/realms/staff",
    "RELAY_CONSOLE_OIDC_CLIENT_ID": "relay-console",
}


def test_issuer_and_client_id_are_enough() -> None:
    settings = load(GOOD)
    assert settings.console_oidc_scopes == ("openid", "profile", "email")
    assert (settings.console_oidc_roles_claim, settings.console_oidc_roles) == ("roles", {})
    assert (settings.console_content, settings.console_session) == ("operator", 28_800)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"RELAY_CONSOLE_OIDC_CLIENT_ID": ""}, "go together"),
        ({"RELAY_CONSOLE_OIDC_ISSUER": ""}, "go together"),
        ({"RELAY_CONSOLE_OIDC_ISSUER": "http://login.example.com"}, "https:// URL"),
        ({"RELAY_CONSOLE_OIDC_ISSUER": "https://login.example.com/?x=1"}, "https:// URL"),
        ({"RELAY_CONSOLE_OIDC_ISSUER": "https://[::1"}, "https:// URL"),
        ({"RELAY_CONSOLE_URL": "http://relay.example.com/console"}, "RELAY_CONSOLE_URL"),
        ({"RELAY_CONSOLE_OIDC_SCOPES": "profile"}, "must hold openid"),
        ({"RELAY_CONSOLE_OIDC_ROLES": '{"staff": "owner"}'}, "viewer, operator or admin"),
        ({"RELAY_CONSOLE_CONTENT": "nobody"}, "RELAY_CONSOLE_CONTENT"),
    ],
)
def test_a_fault_names_the_variable(given: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        load({name: value for name, value in {**GOOD, **given}.items() if value})
    assert any(told in fault for fault in wrong.value.faults), wrong.value.faults


def test_an_issuer_on_this_machine_needs_no_tls() -> None:
    load({**GOOD, "RELAY_CONSOLE_OIDC_ISSUER": "http://127.0.0.1:8080/realm"})
