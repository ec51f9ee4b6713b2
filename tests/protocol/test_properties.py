"""Whatever comes in whatever order, the promises of a session hold.

Hypothesis plays the browser, the vendor and the tools; the machine carries out what the rules
decide, as a relay would, and keeps its own record to compare with.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from app.protocol import actions as act
from app.protocol.codec import DecodeError, decode_strictly
from app.protocol.errors import IllegalTransition
from app.protocol.frames import is_own
from app.protocol.phases import Phase
from app.protocol.tool import Outcome, ToolResult
from app.protocol.violations import MAX_VIOLATIONS
from tests.protocol.rules import INITIALIZE, NOW
from tests.protocol.rules import session as a_session

if TYPE_CHECKING:
    from app.protocol.session import Session

LIMIT = 800
ALLOWED = {"incomingChatMessage", "sdpAnswer", "terminate", "websocketToolResponse"}

IDS = st.sampled_from(["0", "1", "2", "3", "", "é", "x" * 256])
ODD_IDS: st.SearchStrategy[Any] = st.sampled_from([None, 0, True, "x" * 257, {}, ["0"]])
STAMPED = st.sampled_from([{}, {"timestamp": "t"}, {"timestamp": "t", "channelId": "c"}])
EXTRA = st.sampled_from(
    [
        *({}, {}, {}, {"more": 1}, {"name": "relay.spoof"}, {"name": "opened"}),
        {f"field{at}": ":" for at in range(12)},
    ]
)
TEXTS = st.sampled_from(["", "hello", "a:b", 'quo"ted\\', "é\u2028😀", "x" * 600])


def written(members: dict[str, Any], spaced: bool) -> bytes:
    apart = (", ", " : ") if spaced else (",", ":")
    text = json.dumps(members, ensure_ascii=spaced, separators=apart)
    return (f" {text}\n" if spaced else text).encode()


def framed(kind: str, members: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[bytes]:
    return st.builds(
        lambda stamp, extra, own, spaced: written({"type": kind, **stamp, **extra, **own}, spaced),
        STAMPED,
        EXTRA,
        members,
        st.booleans(),
    )


BROKEN = st.sampled_from(
    [
        *(b"", b"{", b"[]", b"1", b'{"type":1}', b'{"a":1}', b"\xff", b'{"type":"\\ud800"}'),
        b'{"type":"incomingChatMessage","content":"a","content":"b"}',
        b'{"type":"terminate","a":NaN}',
        b'{"type":"terminate","a":' + b"[" * 70 + b"]" * 70 + b"}",
    ]
)
FROM_BROWSER = st.one_of(
    framed("incomingChatMessage", st.fixed_dictionaries({"content": TEXTS})),
    framed("incomingChatMessage", st.fixed_dictionaries({"content": TEXTS})),
    framed(
        "websocketToolResponse",
        st.builds(lambda i, r: {"content": {"id": i, "result": r}}, IDS | ODD_IDS, TEXTS),
    ),
    framed("sdpAnswer", st.just({"data": {"sdpAnswer": "v=0"}})),
    framed("incomingChatMessage", st.just({"content": {}})),
    framed("initialize", st.just({"request": {"callType": "chat"}})),
    framed("terminate", st.just({})),
    st.sampled_from(["text", "relay.session", "websocketToolRequest", "made up"]).flatmap(
        lambda kind: framed(kind, st.just({}))
    ),
    BROKEN,
)
REQUEST = st.builds(
    lambda call_id, name, args: {"content": {"id": call_id, "toolName": name, "args": args}},
    IDS | ODD_IDS,
    st.sampled_from(["look_up", "look_up", "show", "show", "nobody", None]),
    TEXTS,
)
FROM_UPSTREAM = st.one_of(
    framed("text", TEXTS.map(lambda text: {"content": {"source": "assistant", "text": text}})),
    framed("text", TEXTS.map(lambda text: {"content": {"source": "assistant", "text": text}})),
    framed("websocketToolRequest", REQUEST),
    framed("websocketToolRequest", REQUEST),
    framed("event", st.sampled_from(["connection", "opened", "closed"]).map(lambda n: {"name": n})),
    st.sampled_from(
        [
            *("toolCall", "toolCallResult", "error", "conversationResult", "sdpInvite"),
            *("websocketToolRequest", "relay.received", "relay.session", "made up"),
        ]
    ).flatmap(lambda kind: framed(kind, st.just({}))),
    BROKEN,
)


class Conversation(RuleBasedStateMachine):
    """A session between a made-up browser, a made-up vendor and made-up tools."""

    session: Session

    @initialize(burst=st.sampled_from([5, 1000, 1000]), ready=st.booleans())
    def begin(self, burst: int, ready: bool) -> None:
        self.session = a_session(limit=LIMIT, burst=burst, rate=10.0)
        self.now = NOW
        self.upstream: list[bytes] = []  # all that was sent to the vendor
        self.browser: list[bytes] = []  # all that was sent to the browser, in order
        self.expected: list[bytes] = []  # the browser's frames that are held until the opening
        self.said = 0  # frames of the browser's that are not relay.*
        self.refusals = 0
        self.running: list[str] = []
        self.shown: list[str] = []
        self.answered: dict[str, bytes] = {}
        self.over = False  # an End was decided
        self.closed = False
        if ready:
            self.vendor_is_ready()

    # What a relay does with what was decided

    def carry_out(self, actions: act.Actions, payload: bytes, *, from_upstream: bool) -> None:
        assert not self.closed or actions == act.NOTHING, "something happened after the close"
        for action in actions:
            match action:
                case act.Forward() if from_upstream:
                    self.to_browser(payload)
                case act.Forward():
                    self.to_upstream(payload)
                case act.ToUpstream(sent):
                    self.to_upstream(sent)
                case act.ToBrowser(shown):
                    assert json.loads(shown)["type"] == "error"
                    self.to_browser(shown)
                case act.RunTool(call):
                    assert call.id not in self.running + self.shown, "it runs twice"
                    assert call.name == "look_up"
                    self.running.append(call.id)
                case act.AwaitBrowserTool(call):
                    assert call.id not in self.running + self.shown, "it is asked twice"
                    assert call.name == "show"
                    self.shown.append(call.id)
                case act.End():
                    self.over = True

    def to_browser(self, payload: bytes) -> None:
        assert not is_own(json.loads(payload)), "it would upset the browser's count"
        self.browser.append(payload)
        self.session.outgoing.append(payload)

    def to_upstream(self, payload: bytes) -> None:
        frame = json.loads(payload)
        if frame["type"] == "initialize":
            assert payload == INITIALIZE
            assert not self.upstream, "initialize is not the first"
        else:
            assert self.upstream, "something went before initialize"
            assert frame["type"] in ALLOWED
        if frame["type"] == "websocketToolResponse":
            call_id = frame["content"]["id"]
            assert payload == self.answered.setdefault(call_id, payload), "two answers to one id"
            assert "channelId" in frame
        elif any(json.loads(sent)["type"] == "terminate" for sent in self.upstream):
            raise AssertionError("the browser spoke after the end")
        if frame["type"] != "initialize":
            assert "timestamp" in frame
        self.upstream.append(payload)

    # The browser

    @rule(payload=FROM_BROWSER)
    def browser_says(self, payload: bytes) -> None:
        phase, sent = self.session.phase, len(self.upstream)
        told = self.session.from_browser(payload, self.now)
        if not self.closed:
            self.count(payload)
        passed = [sent.payload for sent in told if type(sent) is act.ToUpstream]
        if told is act.FORWARD:
            passed = [payload]
        if told == act.NOTHING and phase in {Phase.INITIALIZING, Phase.OPEN}:
            frame = decode_strictly(payload)
            if frame["type"] != "initialize":
                assert frame["content"]["id"] in self.answered, "it was swallowed"
        for forwarded in passed:
            as_it_came(payload, forwarded)
        if phase is Phase.CONNECTING:
            assert not passed
            if told == act.NOTHING and self.holdable(payload):
                self.expected.append(payload)
        self.look_at_refusals(told)
        self.carry_out(told, payload, from_upstream=False)
        assert len(self.upstream) - sent <= 1

    @rule(text=TEXTS, stamp=STAMPED, spaced=st.booleans())
    def browser_chats(self, text: str, stamp: dict[str, Any], spaced: bool) -> None:
        members = {"type": "incomingChatMessage", **stamp, "content": text}
        self.browser_says(payload=written(members, spaced))

    @precondition(lambda self: self.shown)
    @rule(data=st.data(), stamp=STAMPED)
    def browser_answers(self, data: st.DataObject, stamp: dict[str, Any]) -> None:
        content = {"id": data.draw(st.sampled_from(self.shown)), "result": data.draw(TEXTS)}
        members = {"type": "websocketToolResponse", **stamp, "content": content}
        self.browser_says(payload=written(members, False))

    @rule()
    def browser_sends_binary(self) -> None:
        told = self.session.binary_from_browser(self.now)
        self.said += not self.closed
        self.look_at_refusals(told)
        self.carry_out(told, b"", from_upstream=False)

    @rule(data=st.data(), stamp=STAMPED)
    def browser_confirms(self, data: st.DataObject, stamp: dict[str, Any]) -> None:
        count = data.draw(st.integers(-1, len(self.browser) + 1) | st.sampled_from([None, 1.0]))
        before = self.session.outgoing.acked
        payload = written({"type": "relay.received", "count": count, **stamp}, False)
        told = self.session.from_browser(payload, self.now)
        possible = type(count) is int and 0 <= count <= len(self.browser)
        if possible and not self.closed:
            assert self.session.outgoing.acked == max(before, count)  # type: ignore[type-var]
        else:
            assert self.session.outgoing.acked == before
        self.look_at_refusals(told)
        self.carry_out(told, payload, from_upstream=False)

    def count(self, payload: bytes) -> None:
        try:
            self.said += not is_own(decode_strictly(payload))
        except DecodeError:
            self.said += 1

    def holdable(self, payload: bytes) -> bool:
        kind = decode_strictly(payload)["type"]
        assert kind in ALLOWED | {"initialize"}
        return bool(kind != "initialize")

    def look_at_refusals(self, told: act.Actions) -> None:
        reasons = {"bad_json", "bad_shape", "binary", "type_not_allowed", "unasked_response"}
        reasons |= {"bad_confirmation", "second_initialize"}
        if any(type(action) is act.Count and action.name in reasons for action in told):
            self.refusals += 1
            ended = any(type(action) is act.End for action in told)
            assert ended is (self.refusals >= MAX_VIOLATIONS)

    # The vendor

    @precondition(lambda self: self.session.phase is Phase.CONNECTING)
    @rule()
    def vendor_is_ready(self) -> None:
        told = self.session.open(INITIALIZE)
        assert [type(action) for action in told] == [act.ToUpstream] * len(told)
        self.carry_out(told, b"", from_upstream=False)
        held = self.upstream[1:]
        assert len(held) == len(self.expected)
        for payload, forwarded in zip(self.expected, held, strict=True):
            as_it_came(payload, forwarded)

    @precondition(lambda self: self.session.phase is not Phase.CONNECTING)
    @rule(payload=FROM_UPSTREAM)
    def vendor_says(self, payload: bytes) -> None:
        before = dict(self.answered)
        told = self.session.from_upstream(payload, self.now)
        sent = [action.payload for action in told if type(action) is act.ToUpstream]
        for answer in sent:
            call_id = json.loads(answer)["content"]["id"]
            assert call_id == json.loads(payload)["content"]["id"]
            assert answer == before.get(call_id, answer)
        self.carry_out(told, payload, from_upstream=True)

    @precondition(lambda self: self.session.phase is not Phase.CONNECTING)
    @rule(call_id=IDS, name=st.sampled_from(["look_up", "show", "show"]))
    def vendor_asks(self, call_id: str, name: str) -> None:
        content = {"id": call_id, "toolName": name, "args": None}
        members = {"type": "websocketToolRequest", "channelId": "c", "content": content}
        self.vendor_says(payload=written(members, False))

    @precondition(lambda self: self.session.phase not in {Phase.CONNECTING, Phase.CLOSED})
    @rule()
    def vendor_is_ready_twice(self) -> None:
        with pytest.raises(IllegalTransition):
            self.session.open(INITIALIZE)

    @precondition(lambda self: self.session.phase is not Phase.CONNECTING)
    @rule()
    def vendor_sends_binary(self) -> None:
        if not self.closed:
            self.carry_out(self.session.malformed_from_upstream(), b"", from_upstream=True)

    # The tools

    @precondition(lambda self: self.running or self.shown)
    @rule(data=st.data(), result=TEXTS, outcome=st.sampled_from(Outcome))
    def tool_finishes(self, data: st.DataObject, result: str, outcome: Outcome) -> None:
        """Now, late, or once more; for a browser's tool this is its time running out."""
        call_id = data.draw(st.sampled_from(self.running + self.shown))
        pending = self.session.calls.knows(call_id)
        told = self.session.tool_finished(ToolResult(call_id, result, outcome), self.now)
        assert bool(told) is (pending and not self.closed)
        self.carry_out(told, b"", from_upstream=False)

    # Time, losses and the end

    @rule(seconds=st.sampled_from([0.01, 1.0, 60.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def relay_trims(self) -> None:
        self.session.outgoing.evict()
        assert self.session.outgoing.size <= LIMIT

    @rule(data=st.data())
    def browser_comes_back(self, data: st.DataObject) -> None:
        count = len(self.browser)
        received = data.draw(st.integers(max(0, count - 3), count) | st.integers(0, count))
        missed = self.session.outgoing.after(received)
        if missed is None:
            return
        self.session.outgoing.ack(received)
        asked = [json.loads(again)["content"]["id"] for again in self.session.unanswered(received)]
        assert len(asked) == len(set(asked))
        replayed = [json.loads(frame) for frame in missed]
        replayed_ids = {
            frame["content"]["id"] for frame in replayed if frame["type"] == "websocketToolRequest"
        }
        waiting = set(self.session.calls.shown)
        assert replayed_ids & waiting | set(asked) == waiting, "a request was lost"
        assert not replayed_ids & set(asked), "a request comes twice"
        for call_id in asked:
            self.to_browser(self.request_of(call_id))

    def request_of(self, call_id: str) -> bytes:
        payload = self.session.calls.shown[call_id].payload
        assert payload is not None
        return payload

    @rule()
    def relay_terminates(self) -> None:
        self.carry_out(self.session.terminate(self.now), b"", from_upstream=False)

    @precondition(lambda self: self.over or self.upstream)
    @rule(really=st.integers(0, 9))
    def relay_closes(self, really: int) -> None:
        if really < (6 if self.over else 3):
            self.session.close()
            self.closed = True

    # What always holds

    @invariant()
    def counts_are_those_of_the_peers(self) -> None:
        if hasattr(self, "browser"):
            assert self.session.received == self.said
            assert self.session.outgoing.count == len(self.browser)

    @invariant()
    def there_is_one_initialize(self) -> None:
        if hasattr(self, "browser"):
            begun = self.session.phase is not Phase.CONNECTING and bool(self.upstream)
            kinds = [json.loads(sent)["type"] for sent in self.upstream]
            assert kinds.count("initialize") == begun
            assert kinds.count("terminate") <= 1

    @invariant()
    def replay_has_neither_gap_nor_duplicate(self) -> None:
        if not hasattr(self, "browser"):
            return
        buffer = self.session.outgoing
        for received in range(-1, len(self.browser) + 2):
            tail = buffer.after(received)
            missed = self.browser[max(received, 0) :]
            if not 0 <= received <= len(self.browser):
                assert tail is None
            elif received >= buffer.acked and sum(map(len, missed)) <= LIMIT:
                assert tail == missed
            else:
                assert tail is None or tail == missed

    @invariant()
    def calls_are_pending_or_answered(self) -> None:
        if hasattr(self, "browser"):
            for call_id in self.running + self.shown:
                assert self.session.calls.knows(call_id) is not (call_id in self.answered)


def as_it_came(payload: bytes, forwarded: bytes) -> None:
    """Hold a forwarded frame to what came: the same bytes, but for what the vendor demands."""
    if forwarded == payload:
        return
    came, went = json.loads(payload), json.loads(forwarded)
    added = went.keys() - came.keys()
    assert added
    assert added <= {"timestamp", "channelId"}
    assert {key: went[key] for key in came} == came
    assert forwarded.startswith(payload.rstrip()[:-1])


TestConversation = Conversation.TestCase
TestConversation.settings = settings(stateful_step_count=50)
