"""The result of a conversation, in the shape of the vendor's own result webhook (D).

`CompletedWebHookPayload` or `FailedWebHookPayload`; what the vendor knows and the gateway does
not (`orgId`) is configuration or empty.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from app.history.text import as_json
from app.protocol.control import Speaker
from blackbox_relay import exact_json

if TYPE_CHECKING:
    from app.history.conversation import RecordedConversation
    from app.history.turn import Turn
    from app.protocol.close_codes import CloseReason

FAILED: Final = frozenset({"failed", "failure", "error"})
NORMAL: Final = 1000


def payload(
    conversation: RecordedConversation, reason: CloseReason, at: float, org_id: str = ""
) -> bytes:
    """Build the body of the webhook. It failed if the vendor says so, or never said otherwise."""
    start, result, shown = conversation.start, conversation.result, conversation.shown
    said: dict[str, Any] = exact_json.loads_all(result.body) if result is not None else {}
    error = _error(conversation, reason)
    status = "Completed" if error is None else "Failed"
    body: dict[str, Any] = {
        "type": f"{status}WebHookPayload",
        "status": status,
        "callId": start.id,
        "agentId": start.agent,
        "orgId": org_id,
        "callType": start.call_type,
        "endpoint": shown.json(start.endpoint),
        "createdTime": _iso(start.started_at),
        "completedTime": _iso(at),
        "durationSeconds": round(max(0.0, at - start.started_at), 3),
        "transcription": _transcription(conversation),
        "result": {"finishReason": reason.name, "status": status, "postCallAnalysis": None}
        | shown.json(said),
        "callAdditionalData": shown.json(dict(start.additional_data)),
    }
    body |= shown.json(conversation.links)
    if error is not None:
        body["errorMessage"] = shown.json(error)
    return as_json(body, largest=None).encode()


def _error(conversation: RecordedConversation, reason: CloseReason) -> str | None:
    result = conversation.result
    if result is None:
        return None if reason.code == NORMAL else reason.message
    failed = (result.status or "").lower() in FAILED
    if failed or (result.status is None and result.error_message is not None):
        return result.error_message or "The conversation failed."
    return None


def _transcription(conversation: RecordedConversation) -> list[dict[str, str]]:
    transcript = conversation.transcript
    if transcript is None:
        return []
    spoken = [
        _entry(_speaker(turn), turn.shown(), turn.started_at, turn.ended_at)
        for turn in transcript
        if not turn.is_held
    ]
    missing = transcript.omitted
    if missing or conversation.lost:
        since = conversation.start.started_at
        text = f"[{missing} earlier turns left out, {conversation.lost} messages lost]"
        spoken.insert(0, _entry("system", text, since, since))
    return spoken


def _speaker(turn: Turn) -> str:
    """The vendor's word for who spoke, or ours for a person or a backend."""
    return turn.speaker if turn.speaker in (Speaker.BACKEND, Speaker.OPERATOR) else turn.source


def _entry(speaker: str, text: str, start: float, end: float) -> dict[str, str]:
    return {"speaker": speaker, "text": text, "startTime": _iso(start), "endTime": _iso(end)}


def _iso(at: float) -> str:
    moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return moment.replace("+00:00", "Z")
