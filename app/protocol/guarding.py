"""What guardrails judge of a frame, what their answers mean, and the frame that goes on after that.

Pure. A frame that holds nothing to be judged has no `Subject`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from app.protocol.errors import RelayError
from app.protocol.frames import INCOMING_CHAT_MESSAGE, TOOL_REQUEST, TOOL_RESPONSE
from app.protocol.texts import USER as USER_SPEAKS
from app.protocol.texts import Spoken, spoken_in
from blackbox_relay import exact_json
from blackbox_relay.guardrail import Verdict

if TYPE_CHECKING:
    from blackbox_relay.guardrail import On

USER: Final = "user"
AGENT: Final = "agent"
TOOL_ARGS: Final = "tool_args"
TOOL_RESULT: Final = "tool_result"

PASS: Final = "pass"  # noqa: S105 - no password
MASK: Final = "mask"
BLOCK: Final = "block"
END: Final = "end"
ACTIONS: Final = frozenset((PASS, MASK, BLOCK, END))

MAX_TEXT: Final = 1 << 20
MAX_MESSAGE: Final = 2000
"""Characters of a masked text, and of a message, that a guardrail may answer."""

BLOCKED_MESSAGE: Final = "This message is not allowed."
"""What is told where a guardrail gave no words of its own."""


class InvalidVerdict(RelayError, ValueError):  # noqa: N818 - what it is
    """An answer is no verdict."""


def verdict_of(answer: object, *, is_json: bool = False) -> Verdict:
    """Read a guardrail's answer: a `Verdict`, or an object with the same members.

    A mask without a text is none, nor is one of a tool's JSON that is no JSON. Raises
    `InvalidVerdict`.
    """
    if isinstance(answer, dict):
        members = (answer.get("action"), answer.get("text"), answer.get("message"))
    elif isinstance(answer, Verdict):
        members = (answer.action, answer.text, answer.message)
    else:
        raise InvalidVerdict("no object")
    action, text, message = members
    if not isinstance(action, str) or action not in ACTIONS:
        raise InvalidVerdict("no such action")
    if not isinstance(message, str | None) or not isinstance(text, str | None):
        raise InvalidVerdict("no text")
    if action == MASK:
        _check_mask(text, is_json=is_json)
    short = None if message is None else message[:MAX_MESSAGE]
    return Verdict(action, text, short or None)  # type: ignore[arg-type] # it is one of ACTIONS


def _check_mask(text: str | None, *, is_json: bool) -> None:
    if text is None or len(text) > MAX_TEXT:
        raise InvalidVerdict("a mask without a text, or with too long a one")
    try:
        encoded = text.encode()
        if is_json:
            exact_json.loads(encoded)
    except ValueError:  # lone surrogates, or no JSON
        raise InvalidVerdict("a mask that no frame can hold") from None


@dataclass(frozen=True, slots=True)
class Subject:
    """What is judged of one frame. `text` is JSON for a tool's arguments and results.

    `spoken` is the agent's text, which is judged with the turn that it belongs to.
    """

    on: On
    text: str
    frame: dict[str, Any]
    tool: str | None = None
    call_id: str | None = None
    spoken: Spoken | None = None

    def replaced(self, text: str) -> bytes:
        """Write the frame with another text in place of the judged one."""
        frame = self.frame
        if self.spoken is not None:
            return exact_json.dumps(self.spoken.replaced(frame, text))
        if self.on == USER:
            return exact_json.dumps({**frame, "content": text})
        member = "args" if self.on == TOOL_ARGS else "result"
        content = {**frame["content"], member: exact_json.loads_all(text.encode())}
        return exact_json.dumps({**frame, "content": content})


def user_subject(frame: dict[str, Any]) -> Subject | None:
    """What is judged of a page's frame: a chat message, or the result of a browser's tool."""
    kind, content = frame.get("type"), frame.get("content")
    if kind == INCOMING_CHAT_MESSAGE and isinstance(content, str) and content:
        return Subject("user", content, frame)
    if kind == TOOL_RESPONSE and isinstance(content, dict) and "result" in content:
        call_id = content.get("id")
        if isinstance(call_id, str):
            text = exact_json.dumps(content["result"]).decode()
            return Subject("tool_result", text, frame, call_id=call_id)
    return None


def agent_subject(frame: dict[str, Any]) -> Subject | None:
    """What is judged of the vendor's frame: what the agent says, or a tool's arguments."""
    if frame.get("type") == TOOL_REQUEST:
        content = frame.get("content")
        if not isinstance(content, dict):
            return None
        call_id, name = content.get("id"), content.get("toolName")
        if not isinstance(call_id, str) or not isinstance(name, str):
            return None
        text = exact_json.dumps(content.get("args")).decode()
        return Subject("tool_args", text, frame, name, call_id)
    spoken = spoken_in(frame)
    if spoken is None or spoken.source == USER_SPEAKS:
        return None
    return Subject("agent", spoken.text, frame, spoken=spoken)


def read_frame(payload: bytes) -> dict[str, Any]:
    """Read a frame as liberally as can be; an empty object where it is none."""
    try:
        frame = exact_json.loads_all(payload)
    except ValueError:
        return {}
    return frame if isinstance(frame, dict) else {}


def error_result(message: str | None) -> str:
    """JSON of the result that stands for a tool's, where that is blocked."""
    error = {"code": "blocked", "message": message or "This is not allowed."}
    return exact_json.dumps({"error": error}).decode()
