"""What one visit to a page shows from outside: its requests, and its WebSocket's frames."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.async_api import Page, Request, WebSocket

Frame = dict[str, Any]

DIGIT = re.compile(r"\d")
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TOOL_CALL = re.compile(r"call_[0-9a-f]{8}_")
# Attributes of an SDP (RFC 8866) whose values are random, or of the machine.
SDP_RANDOM = re.compile(
    r"(?m)^(a=(?:ice-ufrag|ice-pwd|fingerprint|candidate|ssrc|msid|msid-semantic)|[oc])[:=].*$"
)
SDP_CANDIDATES = re.compile(r"(?:a=candidate\n)+")
SDP_PORT = re.compile(r"(?m)^(m=\w+|a=rtcp:)\s?\d+")


@dataclass(slots=True)
class Visit:
    """Everything in its order. `dialled` is what the page asked its server for, tokens cut out.

    `received` and `sent` are the frames of its WebSocket, as Chromium's network layer saw them;
    `upstream` those of the browser that the vendor got, `code` the close code that the page saw.
    """

    dialled: list[str] = field(default_factory=list)
    received: list[Frame] = field(default_factory=list)
    sent: list[Frame] = field(default_factory=list)
    upstream: list[Frame] = field(default_factory=list)
    result: dict[str, Any] = field(default_factory=dict)
    shown: list[str] = field(default_factory=list)
    code: int = 0

    def watch(self, page: Page, server: str) -> None:
        """Record from now on what this page does with this server (`host:port`)."""

        def request(it: Request) -> None:
            url = urlsplit(it.url)
            if url.netloc == server:
                self.dialled.append(f"{it.method} {url.path}?{_names(url.query)}")

        def websocket(it: WebSocket) -> None:
            url = urlsplit(it.url)
            assert url.netloc == server, f"a socket to {url.netloc}, not to {server}"
            self.dialled.append(f"WebSocket {url.path}?{_names(url.query)}")
            it.on("framereceived", lambda payload: self.received.append(json.loads(payload)))
            it.on("framesent", lambda payload: self.sent.append(json.loads(payload)))

        page.on("request", request)
        page.on("websocket", websocket)

    def of_gateway(self) -> list[str]:
        """Names of the gateway's own events, which clients of the vendor ignore."""
        return [frame["name"] for frame in self.received if _is_gateways(frame)]

    def story(self, *, timed: bool) -> list[str]:
        """The received frames as comparable text, without the gateway's own."""
        frames = [frame for frame in self.received if not _is_gateways(frame)]
        return comparable(frames, timed=timed)


def comparable(frames: list[Frame], *, timed: bool) -> list[str]:
    """Frames as text in which identifiers and digits of timestamps are alike.

    Keys keep their order. With `timed`, frames that a clock triggers are left out (the emulator's
    reports of what it hears), and with them what the emulator varies from one frame to the next.
    """
    if timed:
        frames = [
            {key: value for key, value in frame.items() if not _varies(key, value)}
            for frame in frames
            if frame.get("name") != "heard"
        ]
    return [json.dumps(_alike(frame, timed=timed)) for frame in frames]


def _is_gateways(frame: Frame) -> bool:
    return bool(frame["type"] == "event" and frame["name"].startswith("relay."))


def _varies(key: str, value: object) -> bool:
    return key in ("traceId", "timestamp") or (key == "channelId" and value is None)


def _names(query: str) -> str:
    return "&".join(pair.partition("=")[0] for pair in query.split("&"))


def _alike(value: Any, *, timed: bool) -> Any:
    if isinstance(value, dict):
        return {key: _alike(member, timed=timed) for key, member in value.items()}
    if isinstance(value, list):
        return [_alike(member, timed=timed) for member in value]
    if isinstance(value, float) and timed:
        return "measured"
    return _text(value) if isinstance(value, str) else value


def _text(text: str) -> str:
    if TIMESTAMP.fullmatch(text):
        return DIGIT.sub("0", text)
    if text.startswith("v=0\r\n"):
        text = SDP_RANDOM.sub(r"\1", text.replace("\r\n", "\n"))
        return SDP_CANDIDATES.sub("a=candidate\n", SDP_PORT.sub(r"\1", text))
    return TOOL_CALL.sub("call_", UUID.sub("uuid", text))
