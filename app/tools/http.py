"""Tools behind HTTP, in the vendor's own webhook dialect.

The body is the vendor's `ToolWebHookPayload` and the JSON answer is the result; 4xx is final, 5xx
and time-outs are retried (D). Signatures are Standard Webhooks: one id for all attempts, so that a
handler can tell a repetition.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import httpx
import structlog
from pydantic import ValidationError
from standardwebhooks.webhooks import Webhook

from app.backoff import Backoff, jittered
from app.egress import FAILURES, AnswerRefused, cause_of, json_of, read_bounded
from app.protocol.errors import ConfigurationError, RelayError
from app.tools.http_spec import HttpToolSpec, faults_of
from app.tools.interface import NAME, Fallback, ToolContext, ToolError, ToolFailed
from blackbox_relay import exact_json
from blackbox_relay.arguments import Arguments
from blackbox_relay.causes import Cause

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.tools.interface import Schema

log = structlog.get_logger(__name__)

MAX_ANSWER: Final = 256 * 1024
BACKOFF: Final = Backoff(first=0.2, longest=2.0)
# These are about the gateway's own credentials: their text is for an operator, not for an agent.
UNAUTHENTICATED: Final = frozenset({401, 407})
KEPT_IN_KEY: Final = "!#$&'()*+,/:;=?@[]^_`{|}~.-"
SENTENCES: Final = ("message", "detail", "error", "title")

# Writes trace headers into a carrier, as OpenTelemetry's `inject` does.
Propagate = Callable[[MutableMapping[str, str]], None]


class _Retriable(RelayError):  # noqa: N818 - an outcome of one attempt
    """An attempt failed in a way that another may not."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause)
        self.cause = cause


class HttpTool:
    """One endpoint as a tool.

    `timeout` (seconds) is the deadline of the whole call. As long as retries are left, an attempt
    gets half of the time that is left, and the last one all of it: without that, a handler that
    hangs would leave no time to ask again.
    """

    def __init__(
        self,
        name: str,
        spec: HttpToolSpec,
        client: httpx.AsyncClient,
        *,
        default_timeout: float,
        propagate: Propagate = lambda headers: None,  # noqa: ARG005
        pause: Callable[[float], float] = jittered,
    ) -> None:
        self.name = name
        self.description = spec.description
        self.parameters: Schema = spec.parameters or {"type": "object"}
        self.timeout = spec.timeout or default_timeout
        self.fallback_result = (
            Fallback(spec.fallback_result) if "fallback_result" in spec.model_fields_set else None
        )
        self.origin = spec.origin
        self._arguments = Arguments(self.parameters)
        self._spec = spec
        self._client = client
        self._propagate = propagate
        self._pause = pause

    def checked(self, args: Any) -> Any:
        """Return the arguments that the handler gets; raises BadArgs."""
        return self._arguments.checked(args)

    async def call(self, args: Any, ctx: ToolContext) -> Any:
        """POST the call and return the JSON answer; raises BadArgs, ToolFailed or ToolError."""
        body = exact_json.dumps(self._payload(self.checked(args), ctx))
        names = {"webhook-id": _webhook_id(ctx), "idempotency-key": _idempotency_key(ctx)}
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.timeout
        cause = Cause.TIMEOUT
        for left in range(self._spec.retries, -1, -1):
            now = loop.time()
            until = deadline if left == 0 else now + (deadline - now) / 2
            try:
                async with asyncio.timeout_at(until):
                    return await self._attempt(names, body)
            except TimeoutError:
                cause = Cause.TIMEOUT
            except _Retriable as failed:
                cause = failed.cause
            if left == 0:
                break
            pause = self._pause(BACKOFF.limit(self._spec.retries - left + 1))
            if loop.time() + pause >= deadline:
                break
            log.info("tool_retried", tool=self.name, cause=cause.value)
            await asyncio.sleep(pause)
        raise ToolFailed(cause)

    async def _attempt(self, names: Mapping[str, str], body: bytes) -> Any:
        try:
            async with self._client.stream(
                "POST",
                self._spec.url.get_secret_value(),
                content=body,
                headers=self._headers(names, body),
                # The deadline around all attempts is what counts, not the client's own.
                timeout=self.timeout,
            ) as response:
                if response.is_server_error:
                    raise _Retriable(Cause.HTTP_5XX)
                if response.is_client_error and response.status_code not in UNAUTHENTICATED:
                    raise await _refused(response)
                if not response.is_success:
                    raise ToolFailed(f"http_{response.status_code // 100}xx")
                answer = await read_bounded(response, MAX_ANSWER)
            return json_of(answer) if answer.strip() else None
        except httpx.TransportError as error:
            cause = Cause(cause_of(error))
            if cause is Cause.CERTIFICATE_NOT_TRUSTED:
                raise ToolFailed(cause) from None
            raise _Retriable(cause) from None
        except FAILURES as error:
            if isinstance(error, TimeoutError):
                raise
            raise ToolFailed(cause_of(error)) from None

    def _headers(self, names: Mapping[str, str], body: bytes) -> dict[str, str]:
        now = datetime.now(UTC)
        headers = {name: value.get_secret_value() for name, value in self._spec.headers.items()} | {
            "content-type": "application/json",
            **names,
            "webhook-timestamp": str(int(now.timestamp())),
        }
        if self._spec.secret is not None:
            webhook = Webhook(self._spec.secret.get_secret_value())
            webhook_id = names["webhook-id"]
            headers["webhook-signature"] = webhook.sign(webhook_id, now, body.decode())
        self._propagate(headers)
        return headers

    def _payload(self, args: Any, ctx: ToolContext) -> dict[str, Any]:
        return {
            "type": "ToolWebHookPayload",
            "status": "Running",
            "callId": ctx.session_id,
            "agentId": ctx.agent,
            # The vendor's account is not known to the gateway's tools.
            "orgId": "",
            "toolName": self.name,
            "arguments": args,
            "callAdditionalData": dict(ctx.additional_data),
            "agentAdditionalData": {},
            # Beyond the vendor's: who is calling, verified and under the signature.
            "relay": {
                "subject": ctx.principal.subject,
                "callType": ctx.call_type.value,
                "requestId": ctx.call_id,
            },
        }


async def _refused(response: httpx.Response) -> ToolError | ToolFailed:
    """Read what a handler's 4xx says: the JSON that it wrote is for the agent."""
    try:
        said = json_of(await read_bounded(response, MAX_ANSWER))
    except AnswerRefused:
        return ToolFailed(Cause.HTTP_4XX)
    sentence = _sentence(said)
    return ToolError(sentence) if sentence.strip() else ToolFailed(Cause.HTTP_4XX)


def _sentence(said: Any) -> str:
    """Find the text of an error as handlers write it (RFC 9457 and customary members).

    Whatever else a handler says is told as the JSON that it is.
    """
    found = said
    for _ in range(2):
        if isinstance(found, dict):
            found = next((found[name] for name in SENTENCES if found.get(name)), None)
    if isinstance(found, str):
        return found
    return exact_json.dumps(said).decode() if said not in (None, {}, []) else ""


def _webhook_id(ctx: ToolContext) -> str:
    """Name the call itself, so that a repetition by another replica has the same id."""
    seed = f"{ctx.session_id}\0{ctx.call_id}".encode()
    return "msg_" + hashlib.sha256(seed).hexdigest()[:32]


def _idempotency_key(ctx: ToolContext) -> str:
    """Name the call for a handler's own storage: the session and the agent's request id.

    What no header may hold is percent-encoded (RFC 9110 section 5.5); ids as they are have none.
    """
    return f"{ctx.session_id}/{quote(ctx.call_id, safe=KEPT_IN_KEY)}"


def http_tools(
    written: Mapping[str, Any],
    client: httpx.AsyncClient,
    *,
    timeout: float,
    propagate: Propagate = lambda headers: None,  # noqa: ARG005
) -> list[HttpTool]:
    """Make the tools of RELAY_HTTP_TOOLS; `client` is a guarded one, `timeout` the default.

    Raises ConfigurationError with a line for every fault, without values.
    """
    tools: list[HttpTool] = []
    faults: list[str] = []
    for name, value in written.items():
        if not NAME.fullmatch(name):
            faults.append(f"RELAY_HTTP_TOOLS: no tool may be called {name!r}")
            continue
        try:
            spec = HttpToolSpec.model_validate(value)
        except ValidationError as error:
            faults.extend(f"RELAY_HTTP_TOOLS: {name}{fault}" for fault in faults_of(error))
            continue
        tools.append(HttpTool(name, spec, client, default_timeout=timeout, propagate=propagate))
    if faults:
        raise ConfigurationError(faults)
    return tools
