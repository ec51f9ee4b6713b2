from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.auth.origin import AllowedOrigins, normal_origin

SAME = AllowedOrigins.parse([])
LISTED = AllowedOrigins.parse(
    ["https://app.example.com", "https://*.shop.example", "http://localhost:5173/", "capacitor://x"]
)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://relay.example.com", "relay.example.com"),
        ("https://relay.example.com", "relay.example.com:443"),
        ("http://relay.example.com", "relay.example.com"),
        ("https://Relay.Example.com", "RELAY.example.COM"),
        ("http://127.0.0.1:8000", "127.0.0.1:8000"),
        ("http://[::1]:8000", "[::1]:8000"),
        (None, "relay.example.com"),
    ],
)
def test_a_page_of_the_same_host_is_allowed_by_default(origin: str | None, host: str) -> None:
    assert SAME.same_host
    assert SAME.allows(origin, host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://evil.example", "relay.example.com"),
        ("https://relay.example.com:8443", "relay.example.com"),
        ("https://relay.example.com.evil.example", "relay.example.com"),
        ("https://evil.example/relay.example.com", "relay.example.com"),
        ("https://relay.example.com@evil.example", "relay.example.com"),
        ("https://evil.example, https://relay.example.com", "relay.example.com"),
        ("chrome-extension://relay.example.com", "relay.example.com"),
        ("file://", "relay.example.com"),
        ("null", "relay.example.com"),
        ("null", "null"),
        ("", ""),
        ("https://a.example", ""),
        ("https://relay.example.com", "relay.example.com, evil.example"),
        ("https://relay.example.com\n", "relay.example.com"),
    ],
)
def test_a_page_of_another_host_is_refused_by_default(origin: str, host: str) -> None:
    assert not SAME.allows(origin, host)


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.com",
        "https://app.example.com:443",
        "https://a.shop.example",
        "https://a.b.shop.example",
        "http://localhost:5173",
        "capacitor://x",
    ],
)
def test_listed_origins_are_allowed(origin: str) -> None:
    assert LISTED.allows(origin, "relay.example.com")


@pytest.mark.parametrize(
    "origin",
    [
        "https://relay.example.com",
        "http://app.example.com",
        "https://app.example.com:444",
        "https://shop.example",
        "https://evilshop.example",
        "https://a.shop.example.evil",
        "http://a.shop.example",
        "https://a.shop.example:8443",
        "http://localhost",
        "null",
        "*",
        "https://*.shop.example",
    ],
)
def test_unlisted_origins_are_refused(origin: str) -> None:
    assert not LISTED.allows(origin, "relay.example.com")


def test_the_star_allows_everybody() -> None:
    star = AllowedOrigins.parse(["*", ""])
    assert star.anyone
    assert star.allows("null", "relay.example.com")
    assert star.allows("https://evil.example", "relay.example.com")


@pytest.mark.parametrize(
    "item", ["app.example.com", "https://", "https://*.*.a", "null", "https://a/b"]
)
def test_what_is_no_origin_is_refused_at_start(item: str) -> None:
    with pytest.raises(ValueError, match="is no origin such as"):
        AllowedOrigins.parse([item])


def test_origins_have_one_form() -> None:
    assert normal_origin("HTTPS://App.Example.com:443/") == "https://app.example.com"
    assert normal_origin("http://a:8080") == "http://a:8080"
    assert normal_origin("capacitor://x") == "capacitor://x"
    assert normal_origin("https://u@a") is None


@settings(deadline=None)
@given(st.text())
def test_no_text_is_allowed_but_an_origin(text: str) -> None:
    if LISTED.allows(text, "relay.example.com") or SAME.allows(text, "relay.example.com"):
        assert normal_origin(text) is not None
