"""From the dial to the vendor's first frame."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from app.protocol import frames
from app.protocol.errors import UpstreamError
from app.protocol.phases import Phase
from app.relay.fallback import dial_upstream

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from app.protocol.initialize import ResolvedInitialize
    from app.relay.fallback import Dialled
    from app.relay.parts import RelayParts


class UpstreamOpening:
    """Dials the vendor once it may be, and sends the one `initialize`."""

    def __init__(self, parts: RelayParts) -> None:
        self._parts = parts
        self._initializing: Span | None = None

    async def run(self, resolved: ResolvedInitialize) -> None:
        """Dial, and send the one `initialize` with whatever the browser sent early."""
        scope, dispatcher = self._parts.scope, self._parts.dispatcher
        if await self._parts.queue.wait():
            dispatcher.last_activity = monotonic()
            self._parts.deadlines.restart_duration()
        try:
            dialled = await dial_upstream(
                scope.conversation,
                scope.dependencies,
                resolved,
                scope.conversation.client_options.merged_with(scope.session.client_initialize),
            )
        except UpstreamError as failed:
            self._parts.end(failed.reason)
            return
        if dialled.conversation is not scope.conversation:
            self._serve_by(dialled)
        if scope.guard is not None:
            scope.guard.serve(scope.conversation, scope.dependencies)
        scope.observer.dialled()
        profile, resolved = dialled.conversation.profile, dialled.opening
        self._initializing = dialled.conversation.trace.begin("initialize")
        dispatcher.on_initialized = self.initialized
        dispatcher.upstream.attach(dialled.socket)
        first = frames.initialize(scope.now(), profile.request_field, dict(resolved.request))
        dispatcher.apply(scope.session.open(first), b"")
        if dispatcher.pages is not None:
            dispatcher.pages.upstream_opened()
        self._parts.deadlines.start_initialize_timeout()
        # The vendor may have spoken already: by the rules that is after our initialize.
        dispatcher.upstream.start_receiving()
        dispatcher.backpressure.check_slow_reader()

    def _serve_by(self, dialled: Dialled) -> None:
        """Let the agent serve that stands in for the one that could not be dialled."""
        scope, dispatcher = self._parts.scope, self._parts.dispatcher
        scope.conversation, scope.dependencies = dialled.conversation, dialled.dependencies
        profile, tools = dialled.conversation.profile, dialled.dependencies.tools()
        scope.session.serve(profile, tools)
        dispatcher.tools.resolved(dialled.opening)
        if dispatcher.pages is not None:
            dispatcher.pages.serve(profile, tools)
        scope.observer.fell_back(dialled.conversation)

    def initialized(self) -> None:
        """The vendor's first frame came, or its close: it accepted `initialize`, or refused it."""
        if self._initializing is None:
            return
        self._initializing.end()
        self._initializing = self._parts.dispatcher.on_initialized = None
        circuit = self._parts.scope.dependencies.circuit
        if self._parts.scope.session.phase is Phase.INITIALIZING:
            circuit.record_failure()
        else:
            circuit.record_success()
