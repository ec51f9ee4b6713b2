"""One conversation's rules: frames in, actions out.

Everything is synchronous and without I/O, so that two readers and the tools share one `Session`
without a lock. Time arrives as an argument, in Unix seconds. State changes here and nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from app.protocol import frames
from app.protocol.actions import (
    ACKED,
    FORWARD,
    HELD,
    HELD_ECHO,
    NOTHING,
    Actions,
    Announce,
    AwaitUpstreamClose,
    Count,
    DecideApproval,
    End,
    Publish,
    SdpExchanged,
    ToBrowser,
    ToUpstream,
    VendorRefused,
)
from app.protocol.close_codes import (
    BAD_FRAMES,
    ENDED,
    FORBIDDEN,
    OVERLOADED,
    TOO_MANY,
    CloseReason,
)
from app.protocol.codec import (
    DecodeError,
    append_members,
    decode,
    decode_beyond_doubles,
    decode_strictly,
    with_every_digit,
)
from app.protocol.control import Speaker
from app.protocol.control_frames import said
from app.protocol.disclosure import Disclosure
from app.protocol.documented import has_known_members, unknown_parts
from app.protocol.early_frames import EarlyFrames
from app.protocol.fast_path import (
    FAST_PATH_ENABLED,
    SIMPLE_TYPES,
    acked_count,
    is_simple_message,
    simple_type,
)
from app.protocol.frames import (
    APPROVAL,
    CLOSED_EVENT,
    CONVERSATION_RESULT,
    ERROR,
    EVENT,
    FORWARDED,
    INCOMING_CHAT_MESSAGE,
    INITIALIZE,
    PING,
    RECEIVED,
    SDP_ANSWER,
    SDP_INVITE,
    TERMINATE,
    TEXT,
    TOOL_REQUEST,
    TOOL_RESPONSE,
    is_own,
)
from app.protocol.phases import Event, Phase, advance
from app.protocol.sdp import Call, answer_in, offer_in
from app.protocol.takeover import Takeover, is_echo, is_held
from app.protocol.tool_ledger import ToolLedger
from app.protocol.tool_rules import ToolRules, blocked, browser_answered, finished, requested_call
from app.protocol.validation import (
    FrameRejected,
    approval_in,
    missing_members,
    validate,
)
from app.protocol.vendor_failures import (
    FAILED_OPEN,
    UNKNOWN_ERROR,
    LatestFailure,
    failure_in,
    said_in,
)
from app.protocol.violations import Violations

if TYPE_CHECKING:
    from app.protocol.frame_counters import FrameCounters
    from app.protocol.initialize import Profile
    from app.protocol.rate_limit import TokenBucket
    from app.protocol.replay_buffer import ReplayBuffer
    from app.protocol.tool import ToolResult

_TEXT: Final = SIMPLE_TYPES.index(TEXT)
ANSWERED_HERE: Final = frozenset((RECEIVED, PING))
# Names of this module's own, which cost one look-up on the way of every frame.
CLOSED, CLOSING, OPEN, CONNECTING = Phase.CLOSED, Phase.CLOSING, Phase.OPEN, Phase.CONNECTING
FLOODED: Final[Actions] = (Count("frame_rate"), End(TOO_MANY, "Too many messages at once."))


class Session:
    """The rules of one conversation.

    One class, though it is long: every method reads or moves the same state (`phase`, `calls`,
    `call`, `takeover`, `outgoing`), and each frame that either side sends may change it. What
    decides without that state is elsewhere: `validation`, `disclosure`, `tool_rules`, `takeover`,
    `vendor_failures`, `violations`. Parts that shared it would be called twice per frame.

    `tools` names what the backend can run, `secrets` are the forms of the API key that no browser
    may be shown, `received` counts the browser's frames, `size_received` all of its bytes, and
    `outgoing` holds what was sent to it.
    """

    def __init__(
        self,
        session_id: str,
        profile: Profile,
        tools: frozenset[str],
        bucket: TokenBucket,
        outgoing: ReplayBuffer,
        counters: FrameCounters,
        secrets: frozenset[bytes] = frozenset(),
    ) -> None:
        self.phase = Phase.CONNECTING
        self.received = 0
        self.size_received = 0
        self.outgoing = outgoing
        self.calls = ToolLedger()
        self.call = Call()
        self.client_initialize: dict[str, Any] | None = None
        self.hung_up = False  # whether the browser itself asked for the end
        self._id = session_id
        self._bucket = bucket
        self._from_browser_counters = counters.from_browser
        self._from_upstream_counters = counters.from_upstream
        self._secrets = secrets
        self._hidden_echo: str | None = None  # what the vendor will show as said by the user
        self.takeover: Takeover | None = None
        self.serve(profile, tools)
        self._early_frames = EarlyFrames()
        self._violations = Violations(session_id)
        self._failure = LatestFailure()

    def __repr__(self) -> str:
        received, sent = self.received, self.outgoing.count
        return f"<Session {self._id}: {self.phase.name}, {received} received, {sent} sent>"

    def serve(self, profile: Profile, tools: frozenset[str]) -> None:
        """Let another agent serve, before anything came from upstream."""
        self._profile = profile
        self._tools = ToolRules(profile, tools)
        self._disclosure = Disclosure(profile, self._id, self._secrets)
        self._update_fast_path()

    # The browser's side

    def from_browser(self, payload: bytes, now: float) -> Actions:
        """Judge one text frame of the browser's."""
        self.size_received += len(payload)
        phase = self.phase
        if phase is CLOSED:
            return NOTHING
        if FAST_PATH_ENABLED:
            actions = self._from_browser_unparsed(payload, now)
            if actions is not None:
                return actions
        try:
            frame = decode_strictly(payload)
        except DecodeError as bad:
            self.received += 1
            return self._violations.by_browser(FrameRejected(BAD_FRAMES, str(bad), "bad_json"), now)
        kind = frame["type"]
        self._from_browser_counters.add(kind, len(payload))
        if kind in ANSWERED_HERE:
            return (
                self._take_ack(frame.get("count"), now) if kind == RECEIVED else self._pinged(now)
            )
        if (kind in FORWARDED and "name" not in frame) or not is_own(frame):
            self.received += 1
        if not self._bucket.allows(now):
            return FLOODED
        if phase is CLOSING:
            return NOTHING
        try:
            return self._from_browser(kind, frame, payload, now)
        except FrameRejected as refused:
            return self._violations.by_browser(refused, now)

    def _from_browser_unparsed(self, payload: bytes, now: float) -> Actions | None:
        """Judge one of the commonest frames without a parser; None: it is none of them."""
        if self._takes_fast_path and self.phase is OPEN and is_simple_message(payload):
            self._from_browser_counters.add(INCOMING_CHAT_MESSAGE, len(payload))
            self.received += 1
            return FORWARD if self._bucket.allows(now) else FLOODED
        count = acked_count(payload)
        if count < 0:
            return None
        self._from_browser_counters.add(RECEIVED, len(payload))
        return self._take_ack(count, now)

    def binary_from_browser(self, now: float) -> Actions:
        """Refuse a binary frame: they are not part of the protocol (S D)."""
        if self.phase is Phase.CLOSED:
            return NOTHING
        self.received += 1
        return self._violations.by_browser(
            FrameRejected(BAD_FRAMES, "Binary messages are not known.", "binary"), now
        )

    def withhold(self, size: int, message: str, now: float) -> Actions:
        """Take a frame of the browser's, `size` bytes, that a guardrail keeps from the agent."""
        if self.phase is CLOSED:
            return NOTHING
        self.received += 1
        self.size_received += size
        if not self._bucket.allows(now):
            return FLOODED
        return (ToBrowser(frames.withheld(now, message)),)

    def _from_browser(
        self, kind: str, frame: dict[str, Any], payload: bytes, now: float
    ) -> Actions:
        if kind == INITIALIZE:
            return self._take_client_initialize(frame)
        if kind == APPROVAL:
            return (DecideApproval(*approval_in(frame)),)
        validate(frame)
        if added := missing_members(frame, now):
            payload = append_members(payload, added)
        if kind == TOOL_RESPONSE:
            return browser_answered(self.calls, frame, payload)
        if self.takeover is not None and kind == INCOMING_CHAT_MESSAGE:
            self.takeover.heard(Speaker.USER, frame["content"])
            return (Publish(said(now, None, frame["content"], Speaker.USER)),)
        if kind == TERMINATE:
            self.hung_up = True
        if self.phase is CONNECTING:
            return self._buffer_early_frame(kind, payload)
        if kind == TERMINATE:
            self.phase = advance(self.phase, Event.END_ANNOUNCED)
            return (ToUpstream(payload), AwaitUpstreamClose())
        if kind == SDP_ANSWER and (answer := answer_in(frame)) is not None:
            self.call = self.call.answered(answer, now)
            return (ToUpstream(payload), SdpExchanged())
        return (ToUpstream(payload),) if added else FORWARD

    def _take_client_initialize(self, frame: dict[str, Any]) -> Actions:
        """Take a browser's `initialize` as its options, once; it is never sent upstream."""
        if self.client_initialize is not None:
            raise FrameRejected(FORBIDDEN, "Multiple init messages received.", "second_initialize")
        self.client_initialize = frame
        return NOTHING

    def _buffer_early_frame(self, kind: str, payload: bytes) -> Actions:
        """Keep an early frame until upstream is ready; `terminate` ends what has not begun."""
        if kind == TERMINATE:
            return (End(ENDED),)
        if self._early_frames.add(payload):
            return NOTHING
        return (Count("early_frames"), End(TOO_MANY, "Too many messages before the start."))

    def _take_ack(self, count: Any, now: float) -> Actions:
        """Let confirmed frames go. Progress is free of charge: the frames that it confirms paid."""
        before = self.outgoing.acked
        if type(count) is not int or not self.outgoing.ack(count):
            refused = FrameRejected(BAD_FRAMES, "No such frame was sent.", "bad_confirmation")
            return self._violations.by_browser(refused, now)
        if self.outgoing.acked == before and not self._bucket.allows(now):
            return FLOODED
        return ACKED

    def _pinged(self, now: float) -> Actions:
        """Answer at once, whatever the phase: the browser wants to know that it is heard."""
        if not self._bucket.allows(now):
            return FLOODED
        return (Announce(frames.pong(now, self.received)),)

    # Upstream's side

    def open(self, initialize: bytes) -> Actions:
        """Upstream is ready: send the one `initialize`, then what the browser sent early."""
        self.phase = advance(self.phase, Event.INITIALIZE_SENT)
        return (ToUpstream(initialize), *map(ToUpstream, self._early_frames.take()))

    def from_upstream(self, payload: bytes, now: float) -> Actions:
        """Judge one text frame of the vendor's."""
        phase = self.phase
        if phase is CLOSED:
            return NOTHING
        if FAST_PATH_ENABLED and phase is OPEN and self._is_shown_unparsed(payload):
            return FORWARD
        try:
            frame = decode(payload)
        except DecodeError:
            try:
                frame = decode_beyond_doubles(payload)
            except DecodeError:
                return self.malformed_from_upstream()
        kind = frame["type"]
        self._from_upstream_counters.add(kind, len(payload))
        if phase is not OPEN and phase is not CLOSING:
            # It may refuse in the same packet as its handshake, before `initialize` is out.
            if kind == ERROR:
                refused = failure_in(frame) or UNKNOWN_ERROR
                if refused.reason is OVERLOADED and phase is Phase.INITIALIZING:
                    self.phase = advance(phase, Event.FIRST_MESSAGE)  # it works, and is full
                return (VendorRefused(refused, said_in(frame, self._secrets)), End(refused.reason))
            self.phase = advance(self.phase, Event.FIRST_MESSAGE)
        if kind == TEXT and self.call.answer is not None:
            self._note_user_speech(frame)
        if kind == TEXT and self._texts_shown and "name" not in frame:
            return FORWARD if has_known_members(frame) else (Count("unknown_field"), *FORWARD)
        return self._from_upstream(kind, frame, payload, now)

    def _is_shown_unparsed(self, payload: bytes) -> bool:
        """Tell, without a parser, whether a browser is shown this frame, and no more is to be done.

        False: `_from_upstream` is to judge, which would say the same of each frame that passes.
        """
        kind = simple_type(payload)
        if kind < 0 or not self._types_shown >> kind & 1:
            return False
        if kind == _TEXT:
            if self.call.answer is not None and not self.call.heard:
                return False
        elif not self._disclosure.is_free_of_secrets(payload):
            return False
        self._from_upstream_counters.add(SIMPLE_TYPES[kind], len(payload))
        return True

    def from_backend(self, payload: bytes) -> Actions | None:
        """Send upstream what a backend says for the user; None: too much waits for upstream."""
        if self.phase is not CONNECTING:
            return (ToUpstream(payload),)
        return NOTHING if self._early_frames.add(payload) else None

    def take_over(self, takeover: Takeover | None) -> None:
        """Let a person speak instead of the agent; None: the agent speaks again."""
        self.takeover = takeover
        self._update_fast_path()

    def hide_echo(self, text: str) -> None:
        """Show no page the vendor's echo of this text, which is said to the agent alone."""
        self._hidden_echo = text
        self._update_fast_path()

    def _update_fast_path(self) -> None:
        """While a text may have to be held, each is judged. Shown types are bits, by position."""
        is_judged = self.takeover is not None or self._hidden_echo is not None
        self._texts_shown = TEXT not in self._profile.hide and not is_judged
        self._takes_fast_path = self.takeover is None
        hidden = self._profile.hide if self._texts_shown else {TEXT, *self._profile.hide}
        self._types_shown = sum(
            1 << at for at, kind in enumerate(SIMPLE_TYPES) if kind not in hidden
        )

    def malformed_from_upstream(self) -> Actions:
        """Drop what cannot be read; the third time, upstream has failed."""
        return self._violations.by_upstream()

    def _from_upstream(
        self, kind: str, frame: dict[str, Any], payload: bytes, now: float
    ) -> Actions:
        if is_own(frame):
            return (Count("spoofed_upstream"),)  # it would upset the browser's count
        if self.takeover is not None and is_held(kind, frame):
            return HELD
        if self._hidden_echo is not None and is_echo(kind, frame, self._hidden_echo):
            self._hidden_echo = None
            self._update_fast_path()
            return HELD_ECHO
        if kind == TOOL_REQUEST:
            return self._tool_request(frame, payload, now)
        counts = unknown_parts(kind, frame)
        forward = self._disclosure.shown(kind, frame, payload, now)
        if self.phase is OPEN and (failure := self._failure.note(kind, frame, now)) is not None:
            refused = VendorRefused(failure, said_in(frame, self._secrets))
            ending = (End(failure.reason),) if failure is FAILED_OPEN else NOTHING
            return (*counts, refused, *forward, *ending)
        if kind == CONVERSATION_RESULT or (kind == EVENT and frame.get("name") == CLOSED_EVENT):
            self.phase = advance(self.phase, Event.END_ANNOUNCED)
            return (*counts, *forward, AwaitUpstreamClose())
        if kind == SDP_INVITE and (offer := offer_in(frame)) is not None:
            self.call = self.call.offered(offer, now)
            return (*counts, *forward, SdpExchanged())
        return (*counts, *forward) if counts else forward

    def _note_user_speech(self, frame: dict[str, Any]) -> None:
        """Take note that the user's voice arrives: it was written down."""
        content = frame.get("content")
        if not self.call.heard and type(content) is dict and content.get("source") == "user":
            self.call = self.call.user_heard()

    def _tool_request(self, frame: dict[str, Any], payload: bytes, now: float) -> Actions:
        frame = with_every_digit(frame, payload)
        call = requested_call(frame)
        if call is None:
            return self.malformed_from_upstream()
        number, is_taken = self.outgoing.count + 1, self.takeover is not None
        return self._tools.requested(
            self.calls, call, frame.get("channelId"), payload, number, now, is_taken=is_taken
        )

    def block_request(self, frame: dict[str, Any], message: str | None, now: float) -> Actions:
        """Answer a tool request that a guardrail blocks; one that runs already is left alone."""
        call = requested_call(frame)
        if call is None or self.phase is CLOSED:
            return NOTHING
        return blocked(self.calls, call, frame.get("channelId"), message, now)

    def upstream_lost(self, code: int, now: float) -> CloseReason:
        """What the loss of upstream's socket means. After the announced end, 1006 is normal (L)."""
        return self._failure.reason_of_loss(self.phase, code, now)

    # Tools

    def tool_finished(self, result: ToolResult, now: float) -> Actions:
        """Answer the agent with a tool's result, unless it has an answer already."""
        return NOTHING if self.phase is CLOSED else finished(self.calls, result, now)

    def unanswered(self, received: int) -> tuple[bytes, ...]:
        """Requests that a resuming browser has had, numbered up to `received`, and not answered.

        They are to be sent again, all of them and at once.
        """
        return self.calls.reissue(received, self.outgoing.count)

    # The end

    def terminate(self, now: float) -> Actions:
        """Ask upstream to end, unless it announced the end itself or never heard of a beginning."""
        if self.phase not in {Phase.INITIALIZING, Phase.OPEN}:
            return NOTHING
        self.phase = advance(self.phase, Event.END_ANNOUNCED)
        return (ToUpstream(frames.terminate(now)), AwaitUpstreamClose())

    def terminated_by_page(self) -> None:
        """Take note that another page of this conversation has sent `terminate` upstream."""
        self.hung_up = True
        if self.phase in {Phase.INITIALIZING, Phase.OPEN}:
            self.phase = advance(self.phase, Event.END_ANNOUNCED)

    def close(self) -> None:
        """Let nothing through from here on. Idempotent."""
        if self.phase is not Phase.CLOSED:
            self.phase = advance(self.phase, Event.CLOSED)
