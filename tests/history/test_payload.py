"""The result webhook's body: completed or failed, and why."""

from __future__ import annotations

import json
from typing import Any

from app.history.conversation import BatchPart, RecordedConversation
from app.history.results.composer import Composer
from app.history.transcript import Budget, Transcript
from app.protocol.close_codes import CRASHED, ENDED
from tests.history.feed import DOWN, NOW, event, result, start, text


def body_of(*frames: bytes, reason: Any = ENDED, transcript: Transcript | None = None) -> Any:
    conversation = RecordedConversation(
        start("c1", endpoint="+1", call_type="onPhone"),
        content=True,
        transcript=transcript or Transcript(Budget()),
    )
    part = BatchPart(conversation)
    for number, frame in enumerate(frames):
        conversation.frame(part, DOWN, NOW + number, frame)
    return json.loads(Composer("org").compose(conversation, reason, NOW + 61.5).body)


def test_a_completed_conversation_has_the_vendor_s_shape() -> None:
    assert body_of(
        event("opened"),
        text("assistant", "Hi."),
        text("user", "Hello"),
        result(status="Completed", finishReason="agent", postCallAnalysis={"mood": "good"}),
    ) == {
        "type": "CompletedWebHookPayload",
        "status": "Completed",
        "callId": "c1",
        "agentId": "support",
        "orgId": "org",
        "callType": "onPhone",
        "endpoint": "+1",
        "createdTime": "2026-09-21T14:13:20.000Z",
        "completedTime": "2026-09-21T14:14:21.500Z",
        "durationSeconds": 61.5,
        "transcription": [
            {
                "speaker": "assistant",
                "text": "Hi.",
                "startTime": "2026-09-21T14:13:21.000Z",
                "endTime": "2026-09-21T14:13:21.000Z",
            },
            {
                "speaker": "user",
                "text": "Hello",
                "startTime": "2026-09-21T14:13:22.000Z",
                "endTime": "2026-09-21T14:13:22.000Z",
            },
        ],
        "result": {
            "finishReason": "agent",
            "status": "Completed",
            "postCallAnalysis": {"mood": "good"},
        },
        "callAdditionalData": {"customer": "ann"},
    }


def test_a_failure_that_the_vendor_reports_is_a_failed_payload() -> None:
    body = body_of(result(status="Failed", errorMessage="No answer"))
    assert (body["type"], body["errorMessage"]) == ("FailedWebHookPayload", "No answer")


def test_a_conversation_that_broke_without_a_result_failed() -> None:
    body = body_of(text("user", "Hello?"), reason=CRASHED)
    assert (body["status"], body["errorMessage"]) == ("Failed", CRASHED.message)
    assert body["result"]["finishReason"] == "internal_error"


def test_a_result_counts_more_than_how_the_socket_ended() -> None:
    assert body_of(result(status="Completed"), reason=CRASHED)["status"] == "Completed"


def test_a_transcript_beyond_its_bound_loses_its_oldest_turns_and_says_so() -> None:
    budget = Budget()
    transcript = Transcript(budget, limit=25)
    turns = [text(s, f"turn {n:02} .. ") for n, s in enumerate(["assistant", "user"] * 3)]
    body = body_of(*turns, transcript=transcript)
    marker, *spoken = body["transcription"]
    assert marker["speaker"] == "system"
    assert "4 earlier turns left out" in marker["text"]
    assert [t["text"] for t in spoken] == ["turn 04 .. ", "turn 05 .. "]
    assert budget.used == 22
    transcript.release()
    assert budget.used == 0


def test_all_transcripts_share_one_budget() -> None:
    budget = Budget(limit=30)
    first, second = Transcript(budget), Transcript(budget)
    body_of(text("user", "a" * 20), transcript=first)
    body_of(text("user", "b" * 8), text("assistant", "c" * 8), transcript=second)
    assert (first.omitted, second.omitted, budget.used) == (0, 1, 28)


def test_links_that_events_and_the_result_tell_are_passed_on() -> None:
    recording, inspector = "https://vendor.example/r/1.mp3", "https://vendor.example/calls/1"
    told = body_of(
        event("connection", {"recordId": "r1", "inspectorUrl": inspector}),
        result(status="Completed", recordingUrl=recording),
    )
    assert (told["recordingUrl"], told["inspectorUrl"]) == (recording, inspector)
    odd = body_of(
        event("closed", ["inspectorUrl"]),
        result(status="Completed", recordingUrl="javascript:alert(1)", inspectorUrl=7),
    )
    assert not {"recordingUrl", "inspectorUrl"} & odd.keys()
