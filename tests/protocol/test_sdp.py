"""Descriptions are read without their addresses, and a call that fails is told why."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.sdp import (
    ADVICE,
    ANSWER_WITHIN,
    KINDS,
    SOON,
    Call,
    Description,
    Diagnosis,
    Problem,
    answer_in,
    describe,
    diagnose,
    offer_in,
    with_both_offers,
)

ADDRESS = "192.0.2.77"
HEAD = "v=0\r\no=- 4611733055 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
AUDIO = "m=audio 9 UDP/TLS/RTP/SAVPF 0 8 101\r\nc=IN IP4 0.0.0.0\r\n"
NEEDED = (
    "a=fingerprint:sha-256 0A:1B:2C\r\na=ice-ufrag:F7gI\r\na=ice-pwd:x9cml6RvRClp\r\na=rtcp-mux\r\n"
)
OFFER = HEAD + AUDIO + NEEDED + f"a=candidate:1 1 udp 2130706431 {ADDRESS} 40000 typ host\r\n"


def candidate(kind: str, address: str = ADDRESS) -> str:
    """A candidate's line, as Chromium writes it."""
    related = "" if kind == "host" else " raddr 0.0.0.0 rport 0"
    return f"a=candidate:842163049 1 udp 1677729535 {address} 61000 typ {kind}{related}\r\n"


def answer(*kinds: str, direction: str = "a=sendrecv\r\n", needed: str = NEEDED) -> str:
    """A browser's answer with candidates of these kinds."""
    return HEAD + AUDIO + needed + direction + "".join(map(candidate, kinds))


def called(sdp: str | None = None, *, at: float = 101.0) -> Call:
    """A call that was offered at 100, and answered if there is an answer."""
    call = Call().offered(OFFER, 100.0)
    return call if sdp is None else call.answered(sdp, at)


def test_candidates_are_counted_by_kind() -> None:
    found = describe(answer("host", "host", "srflx", "relay"))
    assert found.candidates == {"host": 2, "srflx": 1, "prflx": 0, "relay": 1}
    assert (found.connectable, found.hidden, found.lacks) == (4, 0, ())
    assert found.audio
    assert found.sends


def test_host_candidates_behind_a_name_are_counted_apart() -> None:
    name = "1f4712db-ea17-4bcf-a596-105139dfd8bf.local"
    found = describe(HEAD + AUDIO + NEEDED + candidate("host", name) + candidate("host"))
    assert found.fields() == {"host": 2, "srflx": 0, "prflx": 0, "relay": 0, "hidden": 1}


def test_no_address_is_kept() -> None:
    call = called(answer(*KINDS))
    told = repr(call) + repr(diagnose(call, 110.0, ended=True))
    assert ADDRESS not in told
    assert "0A:1B:2C" not in told


@pytest.mark.parametrize(
    ("sdp", "audio", "sends"),
    [
        (answer(direction=""), True, True),
        (answer(direction="a=sendonly\r\n"), True, True),
        (answer(direction="a=recvonly\r\n"), True, False),
        (answer(direction="a=inactive\r\n"), True, False),
        (HEAD + "a=inactive\r\n" + AUDIO, True, False),
        (HEAD + "a=inactive\r\n" + AUDIO + "a=sendrecv\r\n", True, True),
        (HEAD + AUDIO + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=inactive\r\n", True, True),
        (answer().replace("\r\n", "\n"), True, True),
        (HEAD + "m=audio 0 UDP/TLS/RTP/SAVPF 0\r\n", False, False),
        (HEAD + "m=audio " + "9" * 5000 + " UDP/TLS/RTP/SAVPF 0\r\n", False, False),
        (HEAD + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n", False, False),
        ("this is no SDP", False, False),
    ],
    ids=[
        *("default", "sendonly", "recvonly", "inactive", "session", "line_over_session"),
        *("other_line", "bare_newlines", "rejected", "absurd_port", "video_alone", "no_sdp"),
    ],
)
def test_audio_is_accepted_and_sent_as_the_lines_say(sdp: str, audio: bool, sends: bool) -> None:
    found = describe(sdp)
    assert (found.audio, found.sends) == (audio, sends)


def test_what_no_browser_does_without_is_named() -> None:
    assert describe(HEAD + AUDIO).lacks == ("fingerprint", "ice-ufrag", "ice-pwd", "rtcp-mux")
    assert describe(HEAD + AUDIO + "a=rtcp-mux\r\n").lacks[-1] == "ice-pwd"


def test_call_without_an_offer_is_told_when_it_is_over() -> None:
    assert diagnose(Call(), 500.0, ended=False) is None
    assert diagnose(Call(), 500.0, ended=True) == Diagnosis(Problem.NO_OFFER)


def test_offer_that_fits_no_browser_is_told_at_once() -> None:
    call = Call().offered(OFFER.replace("a=rtcp-mux\r\n", ""), 100.0)
    found = diagnose(call, 100.0, ended=False)
    assert found == Diagnosis(Problem.BAD_OFFER, lacks=("rtcp-mux",))


def test_browser_has_its_time_to_answer() -> None:
    assert diagnose(called(), 100.0 + ANSWER_WITHIN - 1, ended=False) is None
    late = diagnose(called(), 100.0 + ANSWER_WITHIN, ended=False)
    assert late == Diagnosis(Problem.NO_ANSWER)
    hung_up = diagnose(called(), 103.0, ended=True)
    assert hung_up == Diagnosis(Problem.NO_ANSWER, likely=True)


@pytest.mark.parametrize(
    ("sdp", "problem"),
    [
        (HEAD, Problem.NO_AUDIO),
        (answer("host", needed=""), Problem.BAD_ANSWER),
        (answer("host", direction="a=recvonly\r\n"), Problem.NO_MICROPHONE),
        (answer(), Problem.NO_CANDIDATES),
    ],
    ids=["no_audio", "lacks", "recvonly", "no_candidates"],
)
def test_what_an_answer_shows_is_certain_and_told_at_once(sdp: str, problem: Problem) -> None:
    found = diagnose(called(sdp), 101.0, ended=False)
    assert found is not None
    assert (found.problem, found.likely) == (problem, False)


@pytest.mark.parametrize(
    ("kinds", "problem"),
    [
        (("host", "host"), Problem.HOST_ONLY),
        (("host", "srflx"), Problem.RELAY_BLOCKED),
        (("host", "srflx", "relay"), Problem.DTLS_FAILED),
    ],
    ids=["host_only", "no_relay", "relay"],
)
def test_short_and_silent_call_is_likely_not_to_have_connected(
    kinds: tuple[str, ...], problem: Problem
) -> None:
    call = called(answer(*kinds))
    assert diagnose(call, 105.0, ended=False) is None
    assert diagnose(call, 105.0, ended=True) == Diagnosis(problem, likely=True)
    assert diagnose(call, 101.0 + SOON, ended=True) is None
    assert diagnose(call.user_heard(), 105.0, ended=True) is None


def test_every_problem_has_its_advice() -> None:
    assert set(ADVICE) == set(Problem)
    assert all(len(Diagnosis(problem).advice.split()) > 5 for problem in Problem)


@pytest.mark.parametrize("name", ["invite", "sdpOffer"])
def test_offer_is_found_under_either_name(name: str) -> None:
    assert offer_in({"type": "sdpInvite", "data": {name: OFFER}}) == OFFER


@pytest.mark.parametrize("data", [None, [], {}, {"invite": 7}, {"sdpAnswer": ""}])
def test_frame_without_a_description_has_none(data: object) -> None:
    assert offer_in({"data": data}) is None
    assert answer_in({"data": data}) is None
    assert answer_in({"data": {"sdpAnswer": "x"}}) == "x"


def test_an_offer_is_written_under_both_names_with_every_digit() -> None:
    for name in ("invite", "sdpOffer"):
        frame = {"type": "sdpInvite", "data": {name: OFFER, "n": 2**70}, "channelId": None}
        written = json.loads(with_both_offers(frame, json.dumps(frame).encode()))
        both = {"invite": OFFER, "sdpOffer": OFFER, "n": 2**70}
        assert written == {**frame, "data": both}


@pytest.mark.parametrize("data", [None, {}, {"invite": OFFER, "sdpOffer": "another"}])
def test_a_frame_without_an_offer_or_with_both_stays_as_it_came(data: object) -> None:
    frame = {"type": "sdpInvite", "data": data}
    payload = json.dumps(frame).encode()
    assert with_both_offers(frame, payload) is payload


@given(st.text() | st.lists(st.sampled_from(OFFER.split("\r\n"))).map("\r\n".join))
def test_no_text_is_too_odd_to_be_described(text: str) -> None:
    found = describe(text)
    assert isinstance(found, Description)
    assert found.hidden <= found.candidates["host"]
