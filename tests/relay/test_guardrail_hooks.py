"""Guardrails as an operator writes them: functions, endpoints, and lists that are wrong."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from aiohttp import web
from standardwebhooks.webhooks import Webhook

from app.egress.addresses import AllowedHosts
from app.egress.ssrf_guard import guarded_client
from app.protocol.errors import ConfigurationError
from app.relay.guardrails import guardrails
from app.telemetry.metrics import Metrics
from app.tools.threads import DaemonThreads
from blackbox_relay import GuardrailRequest, Verdict
from tests.support.listening import http_site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from app.relay.guardrails import Guardrail, Ruling

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LOOPBACK = AllowedHosts.parse(("127.0.0.1/32",))


class Made:
    """Makes guardrails whose client is closed when the test is over."""

    def __init__(self) -> None:
        self.clients: list[httpx.AsyncClient] = []

    def __call__(
        self, *written: Any, allowed: AllowedHosts = LOOPBACK, agents: tuple[str, ...] = ("a",)
    ) -> list[Guardrail]:
        client = guarded_client(allowed, timeout=5)
        self.clients.append(client)
        found = guardrails(written, agents, client, DaemonThreads(2), Metrics(1))
        return list(found._all)


@pytest_asyncio.fixture
async def made() -> AsyncIterator[Made]:
    it = Made()
    yield it
    for client in it.clients:
        await client.aclose()


async def ask(guardrail: Guardrail, text: str, direction: Any = "user") -> Ruling:
    return await guardrail.ask(GuardrailRequest("s", "a", direction, text, "t"))


def written(**more: Any) -> dict[str, Any]:
    return {"name": "g", "on": ["user"], "python": "tests.support.hooks:sync", **more}


@pytest.mark.parametrize(
    ("python", "text", "verdict"),
    [
        ("tests.support.hooks:sync", "bomb", Verdict("block", message="Not that.")),
        ("./tests/support/hooks.py:sync", "tea", Verdict("pass")),
        ("tests.support.hooks:masking", "4111!", Verdict("mask", "[card]!")),
        ("tests.support.hooks:called", "tea", Verdict("pass", message="user")),
    ],
)
async def test_a_function_is_asked(made: Made, python: str, text: str, verdict: Verdict) -> None:
    ruling = await ask(made(written(python=python))[0], text)
    assert (ruling.verdict, ruling.error) == (verdict, None)


async def test_functions_that_hang_do_not_stop_others_for_longer_than_their_time_out(
    made: Made,
) -> None:
    slow, quick = made(
        written(python="tests.support.hooks:slow", timeout=0.05),
        written(name="other", python="tests.support.hooks:masking", timeout=5),
    )
    rulings = await asyncio.gather(*(ask(slow, "x") for _ in range(3)), ask(quick, "x"))
    assert [ruling.error for ruling in rulings] == ["timeout"] * 3 + [None]
    assert [ruling.verdict.action for ruling in rulings] == ["block"] * 3 + ["pass"]


class Endpoint:
    """A guardrail's server. `asked` are the verified requests."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answer: Any = {"action": "pass"}
        self.status = 200
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.asked.append(Webhook(SECRET).verify(body, dict(request.headers)))
        match self.answer:
            case "hang":
                await asyncio.sleep(600)
            case "move":
                return web.Response(status=307, headers={"location": self.url})
            case "endless":
                endless = web.StreamResponse()
                await endless.prepare(request)
                while True:
                    await endless.write(b" " * 65536)
            case str(text):
                return web.Response(text=text, status=self.status)
        return web.json_response(self.answer, status=self.status)


@asynccontextmanager
async def endpoint() -> AsyncIterator[Endpoint]:
    it = Endpoint()
    application = web.Application()
    application.router.add_post("/judge", it.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1, handler_cancellation=True)
    async with http_site(runner) as port:
        it.url = f"http://127.0.0.1:{port}/judge"
        yield it


def http(url: str, **more: Any) -> dict[str, Any]:
    return {"name": "g", "on": ["user"], "url": url, "secret": SECRET, **more}


async def test_an_endpoint_is_asked_with_a_signature(made: Made) -> None:
    async with endpoint() as it:
        (guardrail,) = made(http(it.url))
        assert (await ask(guardrail, "hallo ü")).verdict == Verdict("pass")
        it.answer = {"action": "block", "message": "Not that."}
        assert (await ask(guardrail, "x", "tool_args")).verdict.message == "Not that."
    assert it.asked[0] == {
        "session_id": "s",
        "agent": "a",
        "direction": "user",
        "text": "hallo ü",
        "partial": False,
        "tool": "t",
    }


@pytest.mark.parametrize(
    ("answer", "status", "error"),
    [
        ("hang", 200, "timeout"),
        ("move", 200, "http_3xx"),
        ("endless", 200, "answer_too_large"),
        ({"action": "pass"}, 500, "http_5xx"),
        ({"action": "pass"}, 404, "http_4xx"),
        ("", 200, "answer_not_json"),
        ("{", 200, "answer_not_json"),
        ("[]", 200, "no_verdict"),
        ({"action": "allow"}, 200, "no_verdict"),
    ],
)
@pytest.mark.parametrize("on_error", ["pass", "block"])
async def test_what_is_no_verdict_does_what_on_error_says(
    made: Made, answer: Any, status: int, error: str, on_error: str
) -> None:
    async with endpoint() as it:
        it.answer, it.status = answer, status
        timeout = 0.2 if answer == "hang" else 5
        (guardrail,) = made(http(it.url, timeout=timeout, on_error=on_error))
        ruling = await ask(guardrail, "x")
    assert (ruling.error, ruling.verdict.action) == (error, on_error)


async def test_a_dead_endpoint_and_a_private_one_are_errors(made: Made) -> None:
    async with endpoint() as it:
        url = it.url
    ruling = await ask(made(http(url))[0], "x")
    assert (ruling.error, ruling.verdict.action) == ("unreachable", "block")
    ruling = await ask(made(http("http://127.0.0.1/x"), allowed=AllowedHosts())[0], "x")
    assert ruling.error not in {None, "timeout"}
    assert ruling.verdict.action == "block"


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        (7, "RELAY_GUARDRAILS: item 2: Input should be a valid dictionary"),
        (written(name="no good"), "RELAY_GUARDRAILS: item 2.name: must be 1 to 64"),
        (written(name="h", on=[]), "RELAY_GUARDRAILS: item 2 (h).on: "),
        (written(name="h", on=["browser"]), "RELAY_GUARDRAILS: item 2 (h).on."),
        (written(name="h", timeout=0), "RELAY_GUARDRAILS: item 2 (h).timeout: "),
        (written(name="h", on_error="skip"), "RELAY_GUARDRAILS: item 2 (h).on_error: "),
        (written(name="h", more=1), "RELAY_GUARDRAILS: item 2 (h).more: "),
        (written(name="h", url="http://x"), "RELAY_GUARDRAILS: item 2 (h): needs either url"),
        ({"name": "h", "on": ["user"]}, "RELAY_GUARDRAILS: item 2 (h): needs either url"),
        (written(name="h", secret=SECRET), "RELAY_GUARDRAILS: item 2 (h): a secret signs"),
        (http("ftp://x", name="h"), "RELAY_GUARDRAILS: item 2 (h).url: is no http or https URL"),
        (
            http("http://x", name="h", secret="canarysec"),
            "RELAY_GUARDRAILS: item 2 (h).secret: is no",
        ),
        (written(), "RELAY_GUARDRAILS: item 2 (g).name: another guardrail has this name"),
        (written(name="h", agents=["b"]), "RELAY_GUARDRAILS: item 2 (h).agents: there is no agent"),
    ],
)
def test_a_faulty_item_is_told_by_its_position_and_member(
    made: Made, wrong: Any, fault: str
) -> None:
    with pytest.raises(ConfigurationError) as told:
        made(written(), wrong)
    assert str(told.value.faults[0]).startswith(fault)
    assert "canary" not in "".join(told.value.faults)


@pytest.mark.parametrize(
    ("python", "fault"),
    [
        ("tests.support.hooks", "must be module:function or ./file.py:function"),
        ("tests.support.hooks:none", "tests.support.hooks has no function none"),
        ("tests.support.hooks:NOT_CALLABLE", "tests.support.hooks has no function NOT_CALLABLE"),
        ("no_such_module:f", "no_such_module cannot be imported (ModuleNotFoundError)"),
        ("./no/file.py:f", "./no/file.py is no file"),
    ],
)
def test_a_function_that_is_not_there_is_told(made: Made, python: str, fault: str) -> None:
    with pytest.raises(ConfigurationError) as told:
        made(written(python=python))
    assert told.value.faults == (f"RELAY_GUARDRAILS: item 1 (g).python: {fault}",)


def test_there_is_a_bound_to_their_number(made: Made) -> None:
    many = [written(name=f"g{n}") for n in range(65)]
    with pytest.raises(ConfigurationError, match="more than 64"):
        made(*many)


def test_agents_have_their_own() -> None:
    client = guarded_client(LOOPBACK, timeout=5)
    items = [written(agents=["a"]), written(name="h", on=["agent"])]
    found = guardrails(items, ("a", "b"), client, DaemonThreads(), Metrics(1))
    assert {on: [g.name for g in rules] for on, rules in found.of("a").items()} == {
        "user": ["g"],
        "agent": ["h"],
    }
    assert list(found.of("b")) == ["agent"]
