"""The receivers of lifecycle events: each fault by its entry and member, and never a value."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from app.protocol.errors import ConfigurationError
from app.settings import load
from app.settings.event_webhooks import event_webhooks
from tests.support.canary import reveals_nothing

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnk="
OTHER = "whsec_b3RoZXItY2FuYXJ5LW90aGVyLWNhbmFyeQ=="
GOOD = {"url": "https://a.example/hook?token=canary-in-the-url", "secret": SECRET}
ALL_OF = 'entry 1: events: must be "*" or a list of session.started, session.resumed, '


def given(written: Any) -> dict[str, str]:
    text = written if isinstance(written, str) else json.dumps(written)
    return {"RELAY_BLACKBOX_API_KEY": "key", "RELAY_EVENT_WEBHOOKS": text}


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("{]", "RELAY_EVENT_WEBHOOKS: is neither JSON nor YAML"),
        ({"url": "https://a.example"}, "RELAY_EVENT_WEBHOOKS: must be a JSON list"),
        ([GOOD, "https://b.example"], "entry 2: must be an object with url and secret"),
        ([GOOD, {"secret": SECRET}], "entry 2: url: is missing"),
        ([GOOD | {"url": "ftp://canary.example"}], "entry 1: url: is no http or https URL"),
        ([GOOD | {"url": "https://u:canary@a.example"}], "entry 1: url: holds a credential"),
        ([GOOD | {"secret": "canary"}], "entry 1: secret.0: must be base64 of 16 bytes"),
        ([GOOD | {"secret": [SECRET, "canary"]}], "entry 1: secret.1: must be base64"),
        ([GOOD | {"secret": []}], "entry 1: secret: "),
        ([GOOD | {"secret": [SECRET] * 5}], "entry 1: secret: "),
        ([GOOD | {"events": ["session.ended", "canary"]}], ALL_OF),
        ([GOOD | {"events": []}], 'entry 1: events: must be "*" or a list of'),
        ([GOOD | {"tenant": ""}], "entry 1: tenant: "),
        ([GOOD | {"name": "a b"}], "entry 1: name: must be 1 to 64 of"),
        ([GOOD | {"sekret": SECRET}], "entry 1: sekret: unknown; members are url, secret"),
        ([GOOD, GOOD | {"events": "*"}], "entry 2: name: is that of entry 1"),
        ([GOOD] * 33, "at most 32 receivers"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_by_entry_and_member(written: Any, fault: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(given(written))
    (line,) = refused.value.faults
    assert line.startswith("RELAY_EVENT_WEBHOOKS")
    assert fault in line
    assert "canary" not in line


def test_a_receivers_name_is_its_own_or_stands_for_url_and_tenant() -> None:
    settings = load(
        given(
            [
                GOOD,
                GOOD | {"tenant": "acme", "events": ["session.ended"]},
                GOOD | {"name": "crm", "secret": [OTHER, SECRET]},
            ]
        )
    )
    one, acme, crm = event_webhooks(settings.event_webhooks)
    assert one.receiver.startswith("a.example-")
    assert "canary" not in one.receiver
    assert one.receiver != acme.receiver
    assert (crm.receiver, len(crm.secret)) == ("crm", 2)
    rotated = load(given([GOOD | {"secret": OTHER}]))
    assert event_webhooks(rotated.event_webhooks)[0].receiver == one.receiver


def test_receivers_come_from_a_file_and_no_secret_of_theirs_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "receivers.yaml"
    file.write_text(f"- url: https://a.example\n  secret: [{SECRET}, {OTHER}]\n")
    settings = load({"RELAY_BLACKBOX_API_KEY": "key", "RELAY_EVENT_WEBHOOKS_FILE": str(file)})
    assert {SECRET, OTHER} <= set(settings.secrets)
    spec = event_webhooks(settings.event_webhooks)[0]
    said = f"{settings!r} {settings} {spec!r}"
    reveals_nothing("a representation", said, {"one": SECRET, "other": OTHER})
