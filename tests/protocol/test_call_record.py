from __future__ import annotations

from typing import Any

import pytest

from app.protocol.call_record import CallRecord, CallStatus, ended, with_frame, with_urls

NEW = CallRecord("s1", "phone", "+1", 100.0)


def event(name: str, data: Any = None) -> dict[str, Any]:
    return {"type": "event", "name": name, "data": data}


def after(*frames: dict[str, Any]) -> CallRecord:
    record = NEW
    for frame in frames:
        record = with_frame(record, frame, 150.0)
    return record


@pytest.mark.parametrize("key", ["recordId", "jobId"])
def test_connection_tells_the_vendor_s_id(key: str) -> None:
    assert after(event("connection", {key: "r1"})).vendor_call_id == "r1"


@pytest.mark.parametrize("data", [None, [], "r1", {"recordId": 7}, {"recordId": "x" * 257}])
def test_connection_without_a_usable_id_tells_none(data: Any) -> None:
    assert after(event("connection", data)).vendor_call_id is None


@pytest.mark.parametrize("frame", [event("opened"), {"type": "text", "content": {"text": "hi"}}])
def test_call_that_is_picked_up_or_spoken_in_is_running(frame: dict[str, Any]) -> None:
    assert after(event("connection"), frame).status is CallStatus.RUNNING


@pytest.mark.parametrize(
    ("frames", "status", "error"),
    [
        ([event("opened"), {"type": "conversationResult", "result": {}}], "Completed", None),
        ([{"type": "conversationResult", "result": {"status": "Completed"}}], "Canceled", None),
        (
            [{"type": "conversationResult", "result": {"status": "Failed", "errorMessage": "no"}}],
            "Failed",
            "no",
        ),
        ([event("opened"), {"type": "conversationResult", "result": "x"}], "Completed", None),
        ([event("failedOpen")], "Failed", None),
        ([{"type": "unheard", "data": {"inspectorUrl": "https://x"}}], "Queued", None),
        ([event("ringing")], "Queued", None),
        ([{}], "Queued", None),
    ],
)
def test_status_follows_the_vendor(
    frames: list[dict[str, Any]], status: str, error: str | None
) -> None:
    record = after(*frames)
    assert (record.status.value, record.error) == (status, error)


@pytest.mark.parametrize(
    ("record", "code", "status", "error"),
    [
        (NEW, 1000, "Canceled", None),
        (NEW, 4502, "Failed", "upstream failed"),
        (after(event("opened")), 1000, "Completed", None),
        (after(event("opened")), 4440, "Failed", "upstream failed"),
        (after(event("failedOpen")), 1000, "Failed", None),
    ],
)
def test_end_of_the_session_settles_what_no_result_did(
    record: CallRecord, code: int, status: str, error: str | None
) -> None:
    over = ended(record, 160.0, code, "upstream failed")
    assert (over.status.value, over.error) == (status, error)
    assert over.completed_at == (160.0 if record.is_live else 150.0)
    assert not over.is_live


@pytest.mark.parametrize(
    "last",
    [
        event("failedOpen"),
        {"type": "conversationResult", "result": {}},
        {"type": "conversationResult", "result": {"status": "Failed"}},
    ],
)
def test_call_is_completed_when_the_vendor_says_so_and_never_anew(last: dict[str, Any]) -> None:
    over = after(last)
    assert (over.is_live, over.completed_at) == (False, 150.0)
    assert with_frame(over, event("late"), 155.0).completed_at == 150.0
    assert ended(over, 160.0, 1000, "").completed_at == 150.0
    assert after(event("opened")).completed_at is None


@pytest.mark.parametrize(
    ("said", "url"),
    [
        ({"inspectorUrl": "https://v.example/1"}, "https://v.example/1"),
        ({"inspectorUrl": "javascript:x"}, None),
        ({"inspectorUrl": "https://" + "x" * 3000}, None),
        ({"inspectorUrl": None}, None),
        ({}, None),
    ],
)
def test_only_web_addresses_are_links(said: dict[str, Any], url: str | None) -> None:
    assert with_urls(NEW, said).inspector_url == url


def test_first_link_stays() -> None:
    first = after(event("connection", {"inspectorUrl": "https://v.example/1"}))
    assert with_urls(first, {"inspectorUrl": "https://v.example/2"}) == first
