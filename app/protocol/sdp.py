"""What two session descriptions tell of a call that does not connect; pure, and without addresses.

The gateway sees the offer, the answer, and who said what when, never the media: a problem that a
description itself shows is certain, one that is concluded from a short and silent call is likely.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from app.protocol.codec import with_every_digit
from blackbox_relay import exact_json

ANSWER_WITHIN: Final = 20.0
"""Seconds for a browser to answer: a person may have to allow the microphone first."""

SOON: Final = 20.0
"""Seconds. A call that ends sooner after its answer, without any user speech, did not connect."""

CANDIDATE: Final = re.compile(
    r"^a=candidate:\S+ \d+ \S+ \d+ (\S+) \d+ typ (host|srflx|prflx|relay)\b", re.MULTILINE
)
DIRECTION: Final = re.compile(r"^a=(sendrecv|sendonly|recvonly|inactive)\s*$", re.MULTILINE)
AUDIO: Final = re.compile(r"^m=audio ([0-9]{1,5}) ", re.MULTILINE)
ATTRIBUTE: Final = re.compile(r"^a=([a-z-]+)\b", re.MULTILINE)
NEXT_MEDIA: Final = re.compile(r"^m=", re.MULTILINE)
NEEDED: Final = ("fingerprint", "ice-ufrag", "ice-pwd", "rtcp-mux")
"""Attributes without which no browser connects (RFC 8827 §6.5, RFC 8834 §4.5)."""

KINDS: Final = ("host", "srflx", "prflx", "relay")


class Problem(StrEnum):
    """Why a call does not connect; a closed set, fit for logs and labels."""

    NO_OFFER = "no_offer"
    BAD_OFFER = "bad_offer"
    NO_ANSWER = "no_answer"
    BAD_ANSWER = "bad_answer"
    NO_AUDIO = "no_audio"
    NO_MICROPHONE = "no_microphone"
    NO_CANDIDATES = "no_candidates"
    HOST_ONLY = "host_only"
    RELAY_BLOCKED = "relay_blocked"
    DTLS_FAILED = "dtls_failed"


ADVICE: Final[dict[Problem, str]] = {
    Problem.NO_OFFER: "the agent offered no call: is it enabled for web calls?",
    Problem.BAD_OFFER: "the agent's offer fits no browser: report it to the vendor",
    Problem.NO_ANSWER: (
        "the browser answered no offer: the microphone was not allowed, or the page does not "
        "handle sdpInvite"
    ),
    Problem.BAD_ANSWER: "something rewrites the page's answer: send it as the browser made it",
    Problem.NO_AUDIO: "the page answered without audio: it must accept the offer's audio",
    Problem.NO_MICROPHONE: "the page sends no sound: add the microphone's track before answering",
    Problem.NO_CANDIDATES: (
        "the answer was sent before candidates were gathered (there is no trickle ICE), or a "
        "policy, an extension or a firewall hides every address"
    ),
    Problem.HOST_ONLY: "give the page a STUN or TURN server: it knows its local addresses alone",
    Problem.RELAY_BLOCKED: (
        "no TURN relay was found: name one, or open its port; a firewall may block UDP"
    ),
    Problem.DTLS_FAILED: (
        "a path was there, but no encrypted audio: does something change the descriptions on "
        "their way, or block UDP after the first packets?"
    ),
}


@dataclass(frozen=True, slots=True)
class Description:
    """What a session description holds, in numbers: no address, no key.

    `candidates` counts each of KINDS, `hidden` those host candidates that are mDNS names.
    `audio` says whether an audio line is accepted, `sends` whether its side will send sound.
    `lacks` are the attributes of NEEDED that it does not have.
    """

    candidates: dict[str, int]
    hidden: int
    audio: bool
    sends: bool
    lacks: tuple[str, ...]

    @property
    def connectable(self) -> int:
        """How many candidates there are."""
        return sum(self.candidates.values())

    def fields(self) -> dict[str, int]:
        """The numbers, for a log line."""
        return {**self.candidates, "hidden": self.hidden}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A problem, and what to do. `likely` ones are concluded, the others are seen."""

    problem: Problem
    likely: bool = False
    lacks: tuple[str, ...] = ()

    @property
    def advice(self) -> str:
        """What to do, for the one who reads the log."""
        return ADVICE[self.problem]


@dataclass(frozen=True, slots=True)
class Call:
    """What was seen of one call so far. Times are in seconds of any one clock."""

    offer: Description | None = None
    offered_at: float = field(default=0.0)
    answer: Description | None = None
    answered_at: float = field(default=0.0)
    heard: bool = False

    def offered(self, sdp: str, at: float) -> Call:
        """Upstream sent its offer."""
        return replace(self, offer=describe(sdp), offered_at=at)

    def answered(self, sdp: str, at: float) -> Call:
        """The browser sent its answer."""
        return replace(self, answer=describe(sdp), answered_at=at)

    def user_heard(self) -> Call:
        """The user's words were transcribed: sound arrives."""
        return replace(self, heard=True)


def describe(sdp: str) -> Description:
    """Read a description, however odd; what it lacks is said, never raised."""
    text = sdp.replace("\r\n", "\n")
    present = set(ATTRIBUTE.findall(text))
    candidates = dict.fromkeys(KINDS, 0)
    hidden = 0
    for address, kind in CANDIDATE.findall(text):
        candidates[kind] += 1
        hidden += kind == "host" and address.endswith(".local")
    audio, direction = _audio(text)
    return Description(
        candidates,
        hidden,
        audio=audio,
        sends=audio and direction in {"sendrecv", "sendonly"},
        lacks=tuple(name for name in NEEDED if name not in present),
    )


def _audio(text: str) -> tuple[bool, str]:
    """Whether audio is accepted, and its direction: the line's own, the session's, the default.

    A port of 0 rejects a line (RFC 3264 §6); without a direction it is sendrecv (§5.1).
    """
    line = AUDIO.search(text)
    if line is None or int(line[1]) == 0:
        return False, "inactive"
    following = NEXT_MEDIA.search(text, line.end())
    own = DIRECTION.search(text, line.end(), following.start() if following else len(text))
    first = NEXT_MEDIA.search(text)
    whole = DIRECTION.search(text, 0, first.start() if first else 0)
    found = own or whole
    return True, found[1] if found else "sendrecv"


def diagnose(call: Call, now: float, *, ended: bool) -> Diagnosis | None:
    """Say why a call does not connect, or None while nothing is wrong with it.

    Ask when an answer has come, ANSWER_WITHIN after an offer, and when the conversation `ended`.
    """
    if call.offer is None:
        return Diagnosis(Problem.NO_OFFER) if ended else None
    if call.offer.lacks:
        return Diagnosis(Problem.BAD_OFFER, lacks=call.offer.lacks)
    if call.answer is None:
        late = now - call.offered_at >= ANSWER_WITHIN
        return Diagnosis(Problem.NO_ANSWER, likely=not late) if ended or late else None
    return _of_answer(call.answer) or _of_end(call, call.answer, now, ended=ended)


def _of_answer(answer: Description) -> Diagnosis | None:
    """What the answer itself shows."""
    if not answer.audio:
        return Diagnosis(Problem.NO_AUDIO)
    if answer.lacks:
        return Diagnosis(Problem.BAD_ANSWER, lacks=answer.lacks)
    if not answer.sends:
        return Diagnosis(Problem.NO_MICROPHONE)
    return None if answer.connectable else Diagnosis(Problem.NO_CANDIDATES)


def _of_end(call: Call, answer: Description, now: float, *, ended: bool) -> Diagnosis | None:
    """What a call that ended soon, without any user speech, suggests."""
    if not ended or call.heard or now - call.answered_at >= SOON:
        return None
    if answer.candidates["relay"]:
        return Diagnosis(Problem.DTLS_FAILED, likely=True)
    if answer.candidates["host"] == answer.connectable:
        return Diagnosis(Problem.HOST_ONLY, likely=True)
    return Diagnosis(Problem.RELAY_BLOCKED, likely=True)


def offer_in(frame: dict[str, Any]) -> str | None:
    """The offer of an `sdpInvite`: `data.invite` (L) or `data.sdpOffer` (D)."""
    return _text(frame, "invite") or _text(frame, "sdpOffer")


def with_both_offers(frame: dict[str, Any], payload: bytes) -> bytes:
    """Return an `sdpInvite` that names its offer `invite` (L) and `sdpOffer` (D) at once.

    One without an offer, or with both, is returned as it came.
    """
    data, offer = frame.get("data"), offer_in(frame)
    if offer is None or data is None or {"invite", "sdpOffer"} <= data.keys():
        return payload
    exact = with_every_digit(frame, payload)
    both = {"invite": offer, "sdpOffer": offer, **exact["data"]}
    return exact_json.dumps({**exact, "data": both})


def answer_in(frame: dict[str, Any]) -> str | None:
    """The answer of an `sdpAnswer` (D L)."""
    return _text(frame, "sdpAnswer")


def _text(frame: dict[str, Any], name: str) -> str | None:
    data = frame.get("data")
    value = data.get(name) if isinstance(data, dict) else None
    return value if isinstance(value, str) and value else None
