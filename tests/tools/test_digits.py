"""An integer of any size reaches every kind of tool, and comes back, with every digit."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from time import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.egress import AllowedHosts, guarded_client
from app.history.conversation import BatchPart, RecordedConversation
from app.history.frames import RecordedEvent, read
from app.history.interface import Direction
from app.history.text import as_json
from app.protocol.actions import RunTool, ToUpstream
from app.protocol.frame_counters import FrameCounters
from app.protocol.initialize import Profile
from app.protocol.rate_limit import TokenBucket
from app.protocol.replay_buffer import ReplayBuffer
from app.protocol.session import Session
from app.protocol.tool import Outcome
from app.tools import Registry, ToolExecutor, tool
from app.tools.declare import FunctionTool
from app.tools.http import http_tools
from app.tools.mcp import McpTools
from app.tools.mcp_spec import mcp_servers
from app.tools.threads import DaemonThreads
from blackbox_relay import exact_json
from tests.egress.server import Seen, answer, serving
from tests.history.feed import start
from tests.support.gateway import ROOT, clean_environment
from tests.tools.raw_mcp import OverHttp, Script
from tests.tools.raw_mcp import tool as listed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from app.protocol.tool import ToolCall
    from app.tools import ToolContext

NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
KINDS = ("function", "thread", "hook", "stdio_echo", "http_echo")
INTEGERS = st.integers() | st.integers(1, 4299).flatmap(
    lambda digits: st.integers(-(10**digits), 10**digits)
)
EDGES = (2**53 + 1, 2**63, -(2**63) - 1, 2**64, 12345678901234567890123, 10**4299, -(10**400))


@tool
async def function(n: int) -> dict[str, Any]:
    return {"got": {"n": n}}


@tool
def thread(n: int) -> dict[str, Any]:
    return {"got": {"n": n}}


def echo(seen: Seen) -> bytes:
    """Answer with the arguments as they were written, byte by byte."""
    at = seen.body.index(b'"arguments":') + len(b'"arguments":')
    given = seen.body[at : seen.body.index(b"}", at) + 1]
    return answer(200, b'{"got":' + given + b"}")


@asynccontextmanager
async def every_kind() -> AsyncIterator[Registry]:
    """A tool of each kind that gives back what it got."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            guarded_client(AllowedHosts.parse(["127.0.0.1"]), timeout=20)
        )
        hook = await stack.enter_async_context(serving(echo))
        over = await stack.enter_async_context(serving(OverHttp(Script([listed("echo", NUMBER)]))))
        script = json.dumps(asdict(Script([listed("echo", NUMBER)])))
        servers = {
            "stdio": {
                "command": sys.executable,
                "args": ["-m", "tests.tools.raw_mcp", script],
                "cwd": str(ROOT),
                "prefix": "stdio",
            },
            "http": {"url": f"{over.url}/mcp", "prefix": "http"},
        }
        mcp = McpTools(mcp_servers(servers), timeout=20)
        running = asyncio.ensure_future(mcp.run())
        await asyncio.wait_for(mcp.discovered(), 30)
        threads = DaemonThreads(2)
        yield Registry(
            [
                FunctionTool(function, threads),
                FunctionTool(thread, threads),
                *http_tools({"hook": {"url": hook.url, "parameters": NUMBER}}, client, timeout=20),
            ],
            [mcp],
        )
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def rules() -> Session:
    """The rules of a conversation that has begun."""
    session = Session(
        "s-1",
        Profile("support"),
        frozenset(KINDS),
        TokenBucket(1000, 1000),
        ReplayBuffer(None),
        FrameCounters(),
    )
    session.open(b"{}")
    return session


def request(name: str, args: str) -> bytes:
    head = '{"type":"websocketToolRequest","timestamp":"x","channelId":null,"content":'
    return f'{head}{{"id":"call-1","toolName":"{name}","args":{args}}}}}'.encode()


async def asked(registry: Registry, ctx: ToolContext, name: str, args: str) -> tuple[ToolCall, str]:
    """Let the agent ask for a tool; return the call, and the result as it is written upstream."""
    session = rules()
    (action,) = session.from_upstream(request(name, args), time())
    assert isinstance(action, RunTool)
    result = await ToolExecutor(registry).run(action.call, ctx)
    (sent,) = session.tool_finished(result, time())
    assert isinstance(sent, ToUpstream)
    begun = b'"result":'
    return action.call, sent.payload[sent.payload.index(begun) + len(begun) : -2].decode()


async def for_each(check: Callable[[Any], Any], values: st.SearchStrategy[Any], *more: Any) -> None:
    """Check many values on this loop: Hypothesis itself runs in a thread."""
    loop = asyncio.get_running_loop()

    @settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
    @given(values)
    def many(value: Any) -> None:
        asyncio.run_coroutine_threadsafe(check(value), loop).result(60)

    for value in more:
        many = example(value)(many)
    await asyncio.to_thread(many)


async def test_every_kind_of_tool_gets_and_gives_every_digit(ctx: ToolContext) -> None:
    async with every_kind() as registry:

        async def check(number: int) -> None:
            for name in KINDS:
                call, result = await asked(registry, ctx, name, f'{{"n":{number}}}')
                assert call.args == {"n": number}
                assert result == f'{{"got":{{"n":{number}}}}}'.replace(" ", ""), name

        await for_each(check, INTEGERS, *EDGES)


OTHERWISE = {
    '{"n":1.0}': 1,
    '{"n":1e0}': 1,
    '{"n":10E-1}': 1,
    '"{\\"n\\": 1}"': 1,
    '"{\\"n\\": 1.00}"': 1,
    '{"n":1e22}': 10**22,
    '{"n":1e400}': 10**400,
    '{"n":12345678901234567890123.0}': 12345678901234567890123,
    '{"n":123456789012345678901.5e1}': 1234567890123456789015,
}


async def test_one_call_in_other_notations_is_read_alike_by_every_kind(ctx: ToolContext) -> None:
    """Numbers that JSON Schema holds equal, with every digit; others are refused by name."""
    async with every_kind() as registry:
        for name in KINDS:
            for args, number in OTHERWISE.items():
                told = (await asked(registry, ctx, name, args))[1]
                assert told == f'{{"got":{{"n":{number}}}}}', (name, args)
            for written in ("1" * 4301, "1e99999"):
                refused = json.loads((await asked(registry, ctx, name, f'{{"n":{written}}}'))[1])
                assert refused["error"]["code"] == "bad_args", name
                assert refused["error"]["message"].endswith("n: the number is too large")


async def test_an_answer_without_end_is_refused_by_name(ctx: ToolContext) -> None:
    @tool
    def endless() -> int:
        return 10**5000

    raw = answer(200, b'{"n":' + b"1" * 5000 + b"}")
    async with (
        serving(raw) as hook,
        guarded_client(AllowedHosts.parse(["127.0.0.1"]), timeout=20) as client,
    ):
        registry = Registry(
            [
                FunctionTool(endless, DaemonThreads(1)),
                *http_tools({"hook": {"url": hook.url}}, client, timeout=20),
            ]
        )
        runner = ToolExecutor(registry)
        for name in ("endless", "hook"):
            (action,) = rules_of(name).from_upstream(request(name, "{}"), time())
            assert isinstance(action, RunTool)
            assert (await runner.run(action.call, ctx)).outcome is Outcome.CRASHED


def rules_of(name: str) -> Session:
    session = Session(
        *("s-1", Profile("support"), frozenset({name})),
        *(TokenBucket(9, 9), ReplayBuffer(None), FrameCounters()),
    )
    session.open(b"{}")
    return session


@settings(deadline=None)
@given(INTEGERS)
@example(12345678901234567890123)
@example(10**400)
def test_history_keeps_every_digit(number: int) -> None:
    assert exact_json.loads(as_json({"n": number}).encode()) == {"n": number}
    frame = f'{{"type":"toolCall","timestamp":"x","data":{{"n":{number}}}}}'.encode()
    found = read(Direction.FROM_UPSTREAM, frame)
    assert isinstance(found, RecordedEvent)
    assert found.data == f'{{"n":{number}}}'.encode()
    said = f'{{"type":"conversationResult","result":{{"n":{number}}}}}'.encode()
    conversation = RecordedConversation(start("c-1"), content=True, transcript=None)
    part = BatchPart(conversation)
    assert conversation.frame(part, Direction.FROM_UPSTREAM, 1.0, said)
    assert part.result is not None
    assert part.result["body"] == f'{{"n":{number}}}'


def test_the_shell_shows_what_an_agent_gets(tmp_path: Any) -> None:
    (tmp_path / "echoes.py").write_text(
        "from app.tools import tool\n@tool\ndef echo(n: int) -> dict:\n    return {'got': n}\n"
    )
    number = 12345678901234567890123
    for args in (f'{{"n": {number}}}', json.dumps(f'{{"n": {number}.0}}')):
        done = subprocess.run(
            [sys.executable, "-m", "app", "tools", "call", "echo", "--args", args],
            env=clean_environment()
            | {
                "RELAY_BLACKBOX_API_KEY": "k",
                "RELAY_TOOLS": "echoes",
                "RELAY_AUTH": "ticket",
                "RELAY_SERVICE_TOKENS": "s" * 32,
                "PYTHONPATH": os.pathsep.join((str(ROOT), str(tmp_path))),
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout) == {"got": number}


@pytest.mark.parametrize("action", [("list",), ("call", "find")])
def test_a_schema_that_cannot_be_read_is_one_line_in_the_shell(action: tuple[str, ...]) -> None:
    rule = {"type": "object", "properties": {"s": {"type": "string", "pattern": "^(?=a)"}}}
    tools = {"find": {"url": "https://hooks.example.com", "parameters": rule}}
    done = subprocess.run(
        [sys.executable, "-m", "app", "tools", *action],
        env=clean_environment()
        | {
            "RELAY_BLACKBOX_API_KEY": "k",
            "RELAY_HTTP_TOOLS": json.dumps(tools),
            "RELAY_AUTH": "ticket",
            "RELAY_SERVICE_TOKENS": "s" * 32,
            "PYTHONPATH": str(ROOT),
        },
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "error: RELAY_HTTP_TOOLS: find.parameters: a regular expression that RE2 cannot match"
        " at $.properties.s.pattern\n"
    )
