"""Traces by OpenTelemetry: one span a session, with its connect, dial, initialize, tools and end.

Off unless OpenTelemetry's own variables name an exporter. Attributes are ids and closed words,
never contents; the SDK's queue is bounded, and sampling is by `OTEL_TRACES_SAMPLER`.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import propagate, trace
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, Status, StatusCode, Tracer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, MutableMapping
    from contextlib import AbstractContextManager

EXPORTERS: Final = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
)
FAILED_FROM: Final = 1011


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
        """Say it to nobody."""

    def note(self, event: str) -> None:
        """Note nothing."""

    def end(self, code: int, reason: str) -> None:
        """End nothing."""


class Traces:
    """Begins traces, if there is a `tracer`; `close` sends what is left."""

    def __init__(self, tracer: Tracer | None, close: Callable[[], None]) -> None:
        self._tracer = tracer
        self._untraced = Untraced()
        self.close = close

    def begin(self) -> Trace:
        """Begin the trace of a request that may become a session."""
        return self._untraced if self._tracer is None else Trace(self._tracer)


def inject(headers: MutableMapping[str, str]) -> None:
    """Add the current trace's context (W3C `traceparent`) to the headers of an HTTP call."""
    propagate.inject(headers)


def open_traces(environ: Mapping[str, str], version: str) -> Traces:
    """Export by OTLP where the environment names an endpoint; else trace nothing at no cost."""
    if not any(environ.get(name) for name in EXPORTERS) or (
        environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    ):
        return Traces(None, lambda: None)
    return _exporting(version)


def _exporting(version: str) -> Traces:
    # The SDK is imported only where it is used: it takes a while.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    resource: Any = Resource.create({"service.name": "blackbox-relay", "service.version": version})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Traces(provider.get_tracer("blackbox-relay", version), provider.shutdown)
