"""Traces by OpenTelemetry: one span a session, with its connect, dial, initialize, tools and end.

Off unless OpenTelemetry's own variables name an exporter. Attributes are ids and closed words,
never contents; the SDK's queue is bounded, and sampling is by `OTEL_TRACES_SAMPLER`.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final

import structlog
from opentelemetry import trace
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, Status, StatusCode, Tracer

from app.protocol.errors import ConfigurationError
from app.telemetry.background import in_thread
from app.telemetry.otel import authorities, exports, faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, MutableMapping
    from contextlib import AbstractContextManager

log = structlog.get_logger(__name__)

FAILED_FROM: Final = 1011
FLUSH: Final = 2.0
"""Seconds that the last spans may take at the end, whatever the exporter's own retries."""


class Trace:
    """The trace of one session, from the request that brought it to its end."""

    __slots__ = ("_span", "_tracer")

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._span = tracer.start_span("relay.session", kind=SpanKind.SERVER)

    def part(self, name: str, **attributes: str) -> AbstractContextManager[None]:
        """Time one part of the session; HTTP calls made within carry the trace on."""
        return self._timed(name, attributes)

    @contextmanager
    def _timed(self, name: str, attributes: Mapping[str, str]) -> Iterator[None]:
        span = self.begin(name, **attributes)
        try:
            with trace.use_span(span, record_exception=False, set_status_on_exception=False):
                yield
        except BaseException as error:
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise
        finally:
            span.end()

    def begin(self, name: str, **attributes: str) -> Span:
        """Begin a part that ends elsewhere, by its `end()`."""
        context = trace.set_span_in_context(self._span)
        return self._tracer.start_span(f"relay.{name}", context, attributes=attributes)

    def describe(self, **attributes: str) -> None:
        """Say which session this is."""
        self._span.set_attributes(attributes)

    def note(self, event: str) -> None:
        """Note something that happened in between."""
        self._span.add_event(event)

    def end(self, code: int, reason: str) -> None:
        """The session is over, or was refused."""
        self._span.set_attributes({"relay.close_code": code, "relay.close_reason": reason})
        if code >= FAILED_FROM:
            self._span.set_status(Status(StatusCode.ERROR, reason))
        self._span.end()


class Untraced(Trace):
    """The trace of every session where nothing is traced: costs nothing."""

    __slots__ = ("_nothing",)

    def __init__(self) -> None:
        self._span = INVALID_SPAN
        self._nothing = nullcontext()

    def part(self, name: str, **attributes: str) -> AbstractContextManager[None]:  # noqa: ARG002
        """Time nothing."""
        return self._nothing

    def begin(self, name: str, **attributes: str) -> Span:  # noqa: ARG002
        """Begin nothing."""
        return self._span

    def describe(self, **attributes: str) -> None:
        """Do nothing."""

    def note(self, event: str) -> None:
        """Note nothing."""

    def end(self, code: int, reason: str) -> None:
        """End nothing."""


class Traces:
    """Begins traces, if there is a `tracer`.

    `shutdown` sends what is left; it blocks for as long as the exporter keeps trying.
    """

    def __init__(self, tracer: Tracer | None, shutdown: Callable[[], None] | None = None) -> None:
        self._tracer = tracer
        self._untraced = Untraced()
        self._shutdown = shutdown
        self._expedited = asyncio.Event()

    def expedite(self) -> None:
        """Let `close` wait no longer, now or later."""
        self._expedited.set()

    async def close(self) -> None:
        """Send what is left, for `FLUSH` seconds at most, and less once that is cut short."""
        if self._shutdown is None:
            return
        sent = in_thread(self._shutdown, "traces")
        expedited = asyncio.create_task(self._expedited.wait(), name="traces:expedite")
        either: set[asyncio.Future[Any]] = {sent, expedited}
        await asyncio.wait(either, timeout=FLUSH, return_when=asyncio.FIRST_COMPLETED)
        expedited.cancel()
        if not sent.done():
            sent.cancel()
            log.warning(
                "traces_not_sent",
                advice="the collector did not take the last spans in time: does it answer at "
                "OTEL_EXPORTER_OTLP_ENDPOINT?",
            )

    def begin(self) -> Trace:
        """Begin the trace of a request that may become a session."""
        return self._untraced if self._tracer is None else Trace(self._tracer)


def inject(headers: MutableMapping[str, str]) -> None:
    """Add the current trace's context (W3C `traceparent`) to the headers of an HTTP call."""
    from opentelemetry import propagate  # noqa: PLC0415 - raises if `OTEL_PROPAGATORS` is wrong

    propagate.inject(headers)


def open_traces(environ: Mapping[str, str], version: str) -> Traces:
    """Export by OTLP where the environment says so; else trace nothing at no cost.

    Raises ConfigurationError with a line for each of OpenTelemetry's variables that is wrong.
    """
    found = faults(environ)
    if found:
        raise ConfigurationError(found)
    return _exporting(environ, version) if exports(environ) else Traces(None)


def _exporting(environ: Mapping[str, str], version: str) -> Traces:
    # The SDK is imported only where it is used: it takes a while.
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    ours = {"service.name": "blackbox-relay", "service.version": version}
    given = OTELResourceDetector().detect().attributes
    resource: Any = Resource.create({k: v for k, v in ours.items() if k not in given})
    # Its own hook at the end of the process would wait without a bound.
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(span_exporter(environ)))
    return Traces(provider.get_tracer("blackbox-relay", version), provider.shutdown)


def span_exporter(environ: Mapping[str, str]) -> Any:
    """The OTLP exporter as the environment describes it."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )

    from app.telemetry.session import ExporterSession  # noqa: PLC0415 - as the SDK above

    return OTLPSpanExporter(certificate_file=authorities(environ), session=ExporterSession())
