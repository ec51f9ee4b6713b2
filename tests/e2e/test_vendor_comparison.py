"""The comparison of two visits sees what differs, and only what identifies or measures is alike."""

from __future__ import annotations

import pytest

from tests.e2e.vendor_site.observed import Frame, comparable

STAMP = "2026-01-02T03:04:05.678Z"
TEXT: Frame = {
    "type": "text",
    "timestamp": STAMP,
    "content": {"source": "assistant", "text": "Hello"},
}
SDP = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\nm=audio 9 RTP/AVP 0\r\na=ice-ufrag:ab\r\na=sendrecv\r\n"
INVITE: Frame = {"type": "sdpInvite", "timestamp": STAMP, "data": {"invite": SDP}}


def altered(frame: Frame, **members: object) -> Frame:
    return {**frame, **members}


@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize(
    "other",
    [
        [INVITE, TEXT],
        [TEXT],
        [TEXT, INVITE, INVITE],
        [altered(TEXT, content={"source": "user", "text": "Hello"}), INVITE],
        [altered(TEXT, content={"source": "assistant", "text": "Hello "}), INVITE],
        [altered(TEXT, content={"text": "Hello", "source": "assistant"}), INVITE],
        [altered(TEXT, added=None), INVITE],
        [TEXT, altered(INVITE, data={"sdpOffer": SDP})],
        [TEXT, altered(INVITE, data={"invite": SDP.replace("sendrecv", "sendonly")})],
        [TEXT, altered(INVITE, data={"invite": SDP.replace("AVP 0", "AVP 8")})],
        [TEXT, altered(INVITE, data={"invite": SDP.replace("a=ice-ufrag:ab\r\n", "")})],
    ],
)
def test_frames_that_differ_are_told_apart(other: list[Frame], *, timed: bool) -> None:
    assert comparable(other, timed=timed) != comparable([TEXT, INVITE], timed=timed)


def test_the_format_of_a_timestamp_counts_where_no_clock_triggers_frames() -> None:
    other = altered(TEXT, timestamp="2026-01-02T03:04:05Z")
    assert comparable([other], timed=False) != comparable([TEXT], timed=False)


def test_identifiers_times_and_addresses_are_alike() -> None:
    ids = "3f2b8c1e-0000-4000-8000-", "11d2aa70-1111-4111-8111-"
    first, second = (
        [
            altered(TEXT, timestamp=f"202{n}-01-02T03:04:05.678Z", id=f"{ids[n]}00000000000{n}"),
            altered(
                INVITE, data={"invite": SDP.replace("ab", "xy" * n).replace(" 9 ", f" {n + 40} ")}
            ),
        ]
        for n in range(2)
    )
    assert comparable(first, timed=False) == comparable(second, timed=False)


def test_reports_that_come_by_the_clock_are_left_out_of_a_timed_comparison() -> None:
    report: Frame = {"type": "event", "name": "heard", "timestamp": STAMP, "data": {}}
    assert comparable([TEXT, report], timed=True) == comparable([TEXT], timed=True)
    assert comparable([TEXT, report], timed=False) != comparable([TEXT], timed=False)
