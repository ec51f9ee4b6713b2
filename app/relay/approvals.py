"""The tool calls of one conversation that wait for an approval: asked, shown again, decided."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from app.protocol import frames
from app.protocol.approval import (
    EXPIRED,
    MAX_ARGS,
    MAX_REMEMBERED,
    TOO_LARGE,
    ApprovalLedger,
    ApprovalRequest,
    Decider,
    Decision,
    Verdict,
    decision_of_operator,
    decision_of_user,
)
from app.protocol.control import Answer, refused
from blackbox_relay import exact_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.protocol.control import Decide
    from app.protocol.tool import ToolCall
    from app.relay.browser_leg import BrowserLeg
    from app.relay.scope import Scope


USERS_OWN: Final = refused(409, "users_own", "The user decides this call, in the page.")
NOT_WAITING: Final = refused(404, "Not Found", "No such tool call waits for an approval.")


class Approvals:
    """Asks the page or an operator, by the agent's profile.

    `announce` sends every page one of the gateway's own frames. A call waits for the time-out of a
    tool, also while no page is there.
    """

    def __init__(self, scope: Scope, announce: Callable[[bytes], None]) -> None:
        self._scope = scope
        self._announce = announce
        self._board = scope.dependencies.approvals
        self._ledger = ApprovalLedger()
        self._waiting: dict[str, asyncio.Future[Decision]] = {}
        self._told: OrderedDict[str, bool] = OrderedDict()  # what became of the user's calls

    def needed(self, tool: str) -> bool:
        """Tell whether a tool runs only once that is approved."""
        return tool in self._scope.conversation.profile.approve

    async def decision(self, call: ToolCall, args: Any) -> Decision:
        """Ask, and wait for the one decision. `args` are what the tool will get."""
        if len(exact_json.dumps(args)) > MAX_ARGS:
            return TOO_LARGE
        request = self._request(call, args)
        decided = self._waiting[call.id] = asyncio.get_running_loop().create_future()
        self._ledger.pending[call.id] = request
        self._ask(request)
        decision = EXPIRED
        try:
            async with asyncio.timeout(self._scope.limits.tool_timeout):
                decision = await decided
        except TimeoutError:
            self._ledger.settle(call.id, EXPIRED)
        finally:
            del self._waiting[call.id]
            self._ledger.pending.pop(call.id, None)
            self._tell(request, decision)
        return decision

    def answer(self, command: Decide) -> Answer:
        """Take an operator's decision; say what became of it, and which one stands."""
        given = decision_of_operator(command.by, approve=command.approve)
        verdict = self._decide(command.call_id, given, Decider.OPERATOR)
        if verdict is Verdict.NOT_THEIRS:
            return USERS_OWN
        stands = self._ledger.decided.get(command.call_id)
        if stands is None:
            return NOT_WAITING
        if verdict is not Verdict.DECIDED_BEFORE:
            return Answer(200, {"id": command.call_id, "approve": stands.approve, "by": stands.by})
        detail = f"{stands.by} has decided this call." if stands.by else stands.sentence
        return refused(409, "decided", detail, approve=stands.approve, by=stands.by or None)

    def decide_by_page(self, call_id: str, *, approve: bool) -> None:
        """Take the user's decision; one that is late or not asked for changes nothing."""
        self._decide(call_id, decision_of_user(approve=approve), Decider.USER)

    def show(self, page: BrowserLeg) -> None:
        """Tell a page that has come, or come back, what is decided, and ask for what is not."""
        for call_id, approved in self._told.items():
            page.send_unnumbered(self._settled(call_id, approved=approved))
        for request in self._ledger.pending.values():
            if request.decider == Decider.USER:
                page.send_unnumbered(self._frame(request))

    def _decide(self, call_id: str, decision: Decision, decider: Decider) -> Verdict:
        verdict = self._ledger.decide(call_id, decision, decider)
        if verdict is Verdict.TAKEN:
            waiting = self._waiting[call_id]
            if not waiting.done():
                waiting.set_result(decision)
        return verdict

    def _request(self, call: ToolCall, args: Any) -> ApprovalRequest:
        conversation, now = self._scope.conversation, self._scope.now()
        profile = conversation.profile
        return ApprovalRequest(
            conversation.id,
            call.id,
            profile.name,
            call.name,
            args,
            profile.approve[call.name],
            now,
            now + self._scope.limits.tool_timeout,
            profile.tenant,
        )

    def _ask(self, request: ApprovalRequest) -> None:
        self._observe(request, "asked", content=request.args)
        if request.decider == Decider.USER:
            self._announce(self._frame(request))
        elif self._board is not None:
            self._board.asked(request)

    def _tell(self, request: ApprovalRequest, decision: Decision) -> None:
        self._observe(request, decision.state, by=decision.by or None)
        if request.decider == Decider.USER:
            self._told[request.id] = decision.approve
            if len(self._told) > MAX_REMEMBERED:
                self._told.popitem(last=False)
            self._announce(self._settled(request.id, approved=decision.approve))
        elif self._board is not None:
            self._board.settled(request)

    def _observe(self, request: ApprovalRequest, state: str, **more: Any) -> None:
        self._scope.observer.approval(request, self._scope.now(), state, **more)

    def _settled(self, call_id: str, *, approved: bool) -> bytes:
        return frames.approval_settled(self._scope.now(), call_id, approved=approved)

    def _frame(self, request: ApprovalRequest) -> bytes:
        return frames.approval_request(self._scope.now(), request)
