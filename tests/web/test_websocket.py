"""Which paths are a WebSocket's, and whose agent they name."""

from __future__ import annotations

import pytest

from app.web.websocket import match_path

NONE = (
    "/",
    "/ws/a/b",
    "/ws\n",
    "/ws/a\n/b",
    "/wss",
    "/WS",
    "/api/v1/ws/webcall",
    "//ws",
    "",
    "/ws//",
)


@pytest.mark.parametrize(
    ("path", "agent"),
    [
        *(("/ws", None), ("/ws/", None), ("/api/v1/ws/webCall", None)),
        *(("/api/v1/ws/webCall/", None), ("/ws/support", "support"), ("/ws/support/", "support")),
        *(("/ws/a b", "a b"), ("/ws/ü", "ü"), ("/ws/..", "..")),
    ],
)
def test_a_path_names_its_agent(path: str, agent: str | None) -> None:
    found = match_path(path)
    assert found is not None
    assert found.groupdict().get("agent") == agent


@pytest.mark.parametrize("path", NONE)
def test_another_path_is_none(path: str) -> None:
    assert match_path(path) is None
