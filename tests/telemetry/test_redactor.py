"""What a library may print of a credential, in whatever form, is taken out of the logs."""

from __future__ import annotations

import json
import re
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.telemetry.logs import MASK, MAX_FIELD, Redactor, forms_of

AWKWARD = 'Ca/na+ry "k\\ey"=é&ü%41'


def lower_hex(text: str) -> str:
    return re.sub("%[0-9A-F]{2}", lambda found: found.group().lower(), text)


@pytest.mark.parametrize(
    "form",
    [
        AWKWARD,
        quote(AWKWARD, safe=""),
        quote(AWKWARD),
        quote_plus(AWKWARD),
        lower_hex(quote(AWKWARD, safe="")),
        json.dumps(AWKWARD),
        json.dumps(AWKWARD, ensure_ascii=False),
        repr(AWKWARD),
        repr(AWKWARD.encode()),
        repr({"key": AWKWARD}),
    ],
)
def test_known_secret_goes_in_every_form(form: str) -> None:
    shown = Redactor([AWKWARD])(f"GET /x {form} failed")
    assert "na" not in shown.replace("[redacted]", "")
    assert MASK in shown


@settings(deadline=None)
@given(st.text(min_size=4, max_size=40).filter(str.isprintable))
def test_no_secret_survives_quoting_or_escaping(secret: str) -> None:
    redact = Redactor([secret])
    for form in forms_of(secret):
        # The mask alone may contain what is as short as one of its own pieces.
        assert form not in redact(f"<{form}>").replace(MASK, "")


@pytest.mark.parametrize(
    "text",
    [
        "GET /ws?ticket=canary HTTP/1.1",
        "GET /ws?a=b&token=canary&c=d",
        "GET /ws?%74icket=canary",
        "GET /ws?%74%69%63%6b%65%74=canary",
        "GET /ws?TICKET=canary",
        "wss://x.example/api/v1/ws/dev?authorization=canary",
        "wss://x.example/api/v1/ws/dev?%61uthorization=canary",
        "ticket=canary",
        "resume=canary&received=3",
        "referer: https://x.example/?next=/ws?ticket=canary",
        "referer: https://x.example/?next=%2Fws%3Fticket%3Dcanary",
        "cookie: a=b; token=canary; c=d",
        "Authorization: Bearer canary",
        "{'authorization': 'Bearer canary'}",
        "(b'authorization', b'Bearer canary')",
        '{"authorization": "bearer canary"}',
        "Sec-WebSocket-Protocol: blackbox-relay.v1, bearer.canary",
        "sec-websocket-protocol: bearer.canary,blackbox-relay.v1",
        "blackbox-relay.v1%2C%20bearer.canary",
        "blackbox-relay.v1%2Cbearer.canary",
        "['blackbox-relay.v1', 'bearer.canary']",
        "redis://:canary@127.0.0.1:6379/0",
        "postgresql+asyncpg://relay:canary@db.example/history",
    ],
)
def test_credential_that_nobody_knew_before_goes_too(text: str) -> None:
    shown = Redactor([])(text)
    assert "canary" not in shown
    assert MASK in shown


@pytest.mark.parametrize(
    "before", ["", "token is ", "x=", "bearer.", "a.b,", "%20bearer.", '{"jwt":"']
)
def test_jwt_goes_wherever_it_stands(before: str) -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl-_"
    shown = Redactor([])(f"{before}{token} rest")
    assert not any(part in shown for part in token.split("."))
    assert shown.endswith(" rest")


def test_what_is_no_credential_stays() -> None:
    text = "GET /ws/support?call_type=chat&received=12 agent=echo https://x.example:8443/a@b"
    assert Redactor(["canary"])(text) == text


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("a\r\nb", "a\\x0d\\x0ab"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("nul\x00", "nul\\x00"),
        ("\x9b2J", "\\x9b2J"),
        ("line\u2028sep", "line\\x2028sep"),
    ],
)
def test_control_characters_are_escaped(raw: str, shown: str) -> None:
    assert Redactor([])(raw) == shown


def test_long_text_is_cut() -> None:
    assert len(Redactor([])("x" * 100_000)) == MAX_FIELD + 1


def test_secret_at_the_cut_is_gone_before_it_is_cut() -> None:
    secret = "canary" * 10
    shown = Redactor([secret])("x" * (MAX_FIELD - 8) + secret)
    assert "canary" not in shown


def test_empty_secrets_mask_nothing() -> None:
    assert Redactor(["", ""])("as it is") == "as it is"
