"""Approval of tool calls: who is asked, what was decided, exactly once. Pure."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_REMEMBERED: Final = 64
"""Decisions of one conversation that are remembered, so that a repeated one is no other."""


class Decider(StrEnum):
    """Who decides whether a tool may run."""

    OPERATOR = "operator"
    USER = "user"


class Verdict(StrEnum):
    """What became of a decision."""

    TAKEN = "taken"
    REPEATED = "repeated"
    DECIDED_BEFORE = "decided_before"
    NOT_THEIRS = "not_theirs"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """A call that waits. `args` are exactly what the tool will get; times are Unix seconds."""

    session_id: str
    id: str
    agent: str
    tool: str
    args: Any
    decider: str
    asked_at: float
    deadline: float
    tenant: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Write it as a JSON object."""
        return asdict(self)


_KNOWN: Final = frozenset(each.name for each in fields(ApprovalRequest))


def request_from_json(document: object) -> ApprovalRequest | None:
    """Read a request that a replica wrote; None if it is none that this release knows."""
    if not isinstance(document, dict):
        return None
    known: Mapping[str, Any] = {key: value for key, value in document.items() if key in _KNOWN}
    try:
        return ApprovalRequest(**known)
    except TypeError:
        return None


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided, and by whom; `sentence` tells the agent of a call that is not to run.

    `cause` is why it was not approved: a word of a closed set.
    """

    approve: bool
    by: str = ""
    sentence: str = ""
    cause: str = "declined"

    @property
    def state(self) -> str:
        """What became of the call: `approved`, `declined`, `expired` or `too_large`."""
        return "approved" if self.approve else self.cause


@dataclass(frozen=True, slots=True)
class SettledApproval:
    """A decision as it is recorded. `by` is None where none was made; `at` is in Unix seconds."""

    state: str
    by: str | None
    at: float


def decision_of_operator(by: str, *, approve: bool) -> Decision:
    """What an operator decided."""
    return Decision(approve, by, "An operator declined this call.")


def decision_of_user(*, approve: bool) -> Decision:
    """What the user decided, in the page."""
    return Decision(approve, "user", "The user declined this call.")


EXPIRED: Final = Decision(
    approve=False, sentence="The call was not approved in time.", cause="expired"
)
TOO_LARGE: Final = Decision(
    approve=False,
    sentence="The arguments are too large to be shown for an approval.",
    cause="too_large",
)
MAX_ARGS: Final = 64 * 1024
"""Bytes of JSON; larger arguments are not shown in parts, and so not approved."""


@dataclass(slots=True)
class ApprovalLedger:
    """The calls of one conversation that wait for a decision, and the latest decisions."""

    pending: dict[str, ApprovalRequest] = field(default_factory=dict)
    decided: OrderedDict[str, Decision] = field(default_factory=OrderedDict)

    def decide(self, call_id: str, decision: Decision, decider: Decider) -> Verdict:
        """Take the first decision on a call by whom it is for; all others change nothing."""
        request = self.pending.get(call_id)
        if request is None:
            before = self.decided.get(call_id)
            if before is None:
                return Verdict.ABSENT
            return Verdict.REPEATED if before == decision else Verdict.DECIDED_BEFORE
        if request.decider != decider:
            return Verdict.NOT_THEIRS
        self.settle(call_id, decision)
        return Verdict.TAKEN

    def settle(self, call_id: str, decision: Decision) -> None:
        """Note what became of a call; it waits no more."""
        self.pending.pop(call_id, None)
        self.decided[call_id] = decision
        if len(self.decided) > MAX_REMEMBERED:
            self.decided.popitem(last=False)
