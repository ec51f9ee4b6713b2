"""What the fake vendor says of web integrations (`discover`, D), and what tests change in it."""

from __future__ import annotations

from typing import Any, Final

from app.emulator.http import Answer

FEATURES: Final = (
    "AllowWebChat",
    "AllowWebCall",
    "SendCallResult",
    "SendTranscriptForAudioCall",
    "SendToolCallLogs",
)
CORS: Final = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "GET"),
    ("Access-Control-Allow-Headers", "*"),
)


class Integration:
    """The integration of every token.

    `said` are members that replace those of the answer; with `status` or `raw` the answer is that
    status, or that JSON value alone.
    """

    def __init__(self) -> None:
        self.said: dict[str, Any] = {}
        self.status: int | None = None
        self.raw: Any = None
        self.asked = 0

    def set(self, body: dict[str, Any]) -> None:
        """Take what a test wants said: `status`, `raw`, or members of the answer."""
        status = body.get("status")
        self.status = status if type(status) is int else None
        self.raw = body.get("raw")
        self.said = {name: body[name] for name in body if name not in ("status", "raw")}

    def view(self) -> dict[str, Any]:
        """What was set, and how often it was asked for."""
        return {"said": self.said, "status": self.status, "raw": self.raw, "asked": self.asked}

    def answer(self, integration: str) -> Answer:
        """Answer `discover` for a valid token."""
        self.asked += 1
        if self.status is not None:
            return Answer(self.status, {"status": self.status, "message": "As ordered"}, CORS)
        if self.raw is not None:
            return Answer(200, self.raw, CORS)
        told: dict[str, Any] = {
            "integrationId": integration,
            "agentId": "emulated-agent",
            "name": "Emulated integration",
            "enabled": True,
            "description": "Answered by the emulator",
            "features": [{"name": name, "enabled": True} for name in FEATURES],
            "widgetAppearance": {
                "theme": "light",
                "position": "bottom-right",
                "colors": {"primary": "#1a73e8"},
                "customStyles": "",
            },
            "tools": ["show_order"],
        }
        return Answer(200, told | self.said, CORS)
