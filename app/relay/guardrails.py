"""Asks guardrails: functions, in a thread if they are synchronous, and HTTP endpoints.

Whatever a guardrail does, `ask` returns a verdict within its time-out: its own, or the one that
`on_error` names, which is logged and counted as an error.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import structlog
from standardwebhooks.webhooks import Webhook

from app.egress import FAILURES, AnswerRefused, cause_of, json_of, read_bounded
from app.protocol.errors import ConfigurationError, RelayError
from app.protocol.guarding import ACTIONS, BLOCK, TOOL_ARGS, TOOL_RESULT, InvalidVerdict, verdict_of
from app.relay.guardrail_spec import guardrail_specs
from app.tools.files import import_file, is_file
from blackbox_relay import exact_json
from blackbox_relay.guardrail import Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    import httpx

    from app.relay.guardrail_spec import GuardrailSpec
    from app.telemetry.metrics import Metrics
    from app.tools.threads import DaemonThreads
    from blackbox_relay.guardrail import GuardrailRequest, On

log = structlog.get_logger(__name__)

Hook = Callable[["GuardrailRequest"], Coroutine[Any, Any, object]]
"""Asks one guardrail: returns its answer, or raises `GuardrailFailed` or what foreign code does."""

MAX_ANSWER: Final = 2 << 20
"""Bytes of an endpoint's answer."""

GRACE: Final = 0.1
"""Seconds that a function has to end once it is cancelled; then it is waited for no more."""


class GuardrailFailed(RelayError):  # noqa: N818 - what happened
    """A guardrail gave no verdict; `cause` is a word for logs and metrics, from a closed set."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Ruling:
    """A verdict, the seconds it took, and why it is not the guardrail's own, if it is not."""

    verdict: Verdict
    seconds: float
    error: str | None = None


class Guardrail:
    """One guardrail. `calls` of functions that ignore their cancellation are abandoned."""

    def __init__(self, spec: GuardrailSpec, hook: Hook, metrics: Metrics) -> None:
        self.name = spec.name
        self.on = spec.on
        self.agents = spec.agents
        self._hook = hook
        self._timeout = spec.timeout
        self._on_error = spec.on_error
        self._metrics = metrics
        self._seconds = metrics.guardrail_seconds.labels(spec.name)
        # Looked up once: the look-up costs more than the counting.
        self._verdicts = {
            action: metrics.guardrail_total.labels(spec.name, action) for action in ACTIONS
        }
        self._abandoned: set[asyncio.Task[object]] = set()

    async def ask(self, request: GuardrailRequest) -> Ruling:
        """Return the verdict on a text. Raises nothing but cancellation."""
        begun = monotonic()
        error: str | None = None
        try:
            answer = await self._answer(request)
            verdict = verdict_of(answer, is_json=request.direction in {TOOL_ARGS, TOOL_RESULT})
        except GuardrailFailed as failed:
            error = failed.cause
        except InvalidVerdict:
            error = "no_verdict"
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            error = "raised"
        except (Exception, SystemExit, GeneratorExit, BaseExceptionGroup) as raised:  # noqa: BLE001
            error = "raised"
            log.warning("guardrail_raised", guardrail=self.name, exception=type(raised).__name__)
        seconds = monotonic() - begun
        if error is not None:
            verdict = Verdict(self._on_error)
            self._failed(error, seconds)
        self._seconds.observe(seconds)
        self._verdicts[verdict.action].inc()
        return Ruling(verdict, seconds, error)

    def _failed(self, cause: str, seconds: float) -> None:
        self._metrics.guardrail_errors_total.labels(self.name, cause).inc()
        advice = "the text was withheld" if self._on_error == BLOCK else "the text went through"
        log.warning(
            "guardrail_failed",
            guardrail=self.name,
            cause=cause,
            on_error=self._on_error,
            seconds=round(seconds, 3),
            advice=f"{advice}, as its on_error says; see to the guardrail, or raise its timeout",
        )

    async def _answer(self, request: GuardrailRequest) -> object:
        """Run foreign code in a task of its own: it may ignore that it is cancelled."""
        task: asyncio.Task[object] = asyncio.create_task(
            self._hook(request), name=f"guardrail:{self.name}"
        )
        try:
            await asyncio.wait((task,), timeout=self._timeout)
            if task.done():
                return task.result()
        finally:
            if not task.done():
                await self._stop(task)
        raise GuardrailFailed("timeout")

    async def _stop(self, task: asyncio.Task[object]) -> None:
        task.cancel()
        await asyncio.wait((task,), timeout=GRACE)
        if not task.done():
            self._abandoned.add(task)
            task.add_done_callback(self._abandoned.discard)


class Guardrails:
    """All guardrails, in their order."""

    def __init__(self, guardrails: Iterable[Guardrail]) -> None:
        self._all = tuple(guardrails)

    def of(self, agent: str) -> dict[On, tuple[Guardrail, ...]]:
        """Those that judge an agent's sessions, by what they judge; empty where none does."""
        mine = [g for g in self._all if g.agents is None or agent in g.agents]
        directions: tuple[On, ...] = ("user", "agent", "tool_args", "tool_result")
        found = {on: tuple(g for g in mine if on in g.on) for on in directions}
        return {on: guardrails for on, guardrails in found.items() if guardrails}


def guardrails(
    written: Iterable[Any],
    agents: Collection[str],
    client: httpx.AsyncClient,
    threads: DaemonThreads,
    metrics: Metrics,
) -> Guardrails:
    """Make the guardrails of RELAY_GUARDRAILS; `client` is a guarded one.

    Raises ConfigurationError with a line for every fault.
    """
    specs = guardrail_specs(written, agents)
    found: list[Guardrail] = []
    faults: list[str] = []
    for position, spec in enumerate(specs, 1):
        try:
            hook = _http(spec, client) if spec.python is None else _python(spec.python, threads)
        except ConfigurationError as fault:
            where = f"RELAY_GUARDRAILS: item {position} ({spec.name}).python"
            faults.extend(f"{where}: {text}" for text in fault.faults)
            continue
        found.append(Guardrail(spec, hook, metrics))
    if faults:
        raise ConfigurationError(faults)
    return Guardrails(found)


def _http(spec: GuardrailSpec, client: httpx.AsyncClient) -> Hook:
    """Ask an endpoint: a POST signed by Standard Webhooks, as tools get, and tried once."""
    assert spec.url is not None  # noqa: S101 - the spec has looked
    url = spec.url.get_secret_value()
    signer = None if spec.secret is None else Webhook(spec.secret.get_secret_value())

    async def ask(request: GuardrailRequest) -> object:
        members = {
            "session_id": request.session_id,
            "agent": request.agent,
            "direction": request.direction,
            "text": request.text,
            "partial": request.partial,
        }
        if request.tool is not None:
            members["tool"] = request.tool
        body = exact_json.dumps(members)
        now, webhook_id = datetime.now(UTC), f"msg_{uuid4().hex}"
        headers = {
            "content-type": "application/json",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(now.timestamp())),
        }
        if signer is not None:
            headers["webhook-signature"] = signer.sign(webhook_id, now, body.decode())
        try:
            async with client.stream(
                "POST", url, content=body, headers=headers, timeout=spec.timeout
            ) as response:
                if not response.is_success:
                    raise GuardrailFailed(f"http_{response.status_code // 100}xx")
                return json_of(await read_bounded(response, MAX_ANSWER))
        except AnswerRefused as refused:
            raise GuardrailFailed(refused.cause) from None
        except FAILURES as error:
            raise GuardrailFailed(cause_of(error)) from None

    return ask


def _python(path: str, threads: DaemonThreads) -> Hook:
    """Import `module:function` or `./file.py:function`. Raises ConfigurationError."""
    function = _imported(path)
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object with an async __call__
    ):
        return function

    async def ask(request: GuardrailRequest) -> object:
        return await threads.run(lambda: function(request))

    return ask


def _imported(path: str) -> Callable[[GuardrailRequest], Any]:
    location, _, attribute = path.rpartition(":")
    if not location or not attribute.isidentifier():
        raise ConfigurationError(["must be module:function or ./file.py:function"])
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        module = import_file(location) if is_file(location) else importlib.import_module(location)
    except ConfigurationError:
        raise ConfigurationError([f"{location} is no file"]) from None
    except Exception as error:  # noqa: BLE001 - an operator's module is foreign code
        raise ConfigurationError(
            [f"{location} cannot be imported ({type(error).__name__})"]
        ) from None
    function = getattr(module, attribute, None)
    if not callable(function):
        raise ConfigurationError([f"{location} has no function {attribute}"])
    found: Callable[[GuardrailRequest], Any] = function
    return found
