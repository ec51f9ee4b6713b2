"""`chat`, `test --url`, `test --record` and `replay` against a gateway of its own process."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
import yaml

from app.cli import main
from tests.support.browser import browser
from tests.support.gateway import AGENTS, ROOT, SERVICE_TOKEN, Emulator, Gateway, clean_environment
from tests.support.gateway import gateway as started
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.asyncio(loop_scope="module")

READER = "canary+token/that=reads"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live(
    emulator: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateway]:
    """Tickets only, history on; one of its two service tokens may see what was said."""
    store = tmp_path_factory.mktemp("history") / "history.db"
    faulty = {"additionalData": {"fault": "close", "faultAfter": 1}}
    growing = {"additionalData": {"agent": "echo", "partials": True}}
    polite = {"additionalData": {"agent": "echo", "greeting": "Good day!"}}
    agents = {
        "support": AGENTS["support"],
        "echo": AGENTS["echo"],
        "rude": AGENTS["echo"] | {"initialize": faulty},
        "growing": AGENTS["echo"] | {"initialize": growing},
        "polite": AGENTS["echo"] | {"initialize": polite},
    }
    async with started(
        emulator.url,
        auth="ticket",
        agents=agents,
        service_tokens=f"{SERVICE_TOKEN},{READER}",
        content_tokens=READER,
        history_url=f"sqlite+aiosqlite:///{store}",
    ) as running:
        running.secrets["reader's token"] = READER
        yield running


@pytest.fixture(autouse=True)
def _bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory, and no variable of a gateway's but the token."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ.keys() - clean_environment().keys():
        monkeypatch.delenv(name)
    monkeypatch.setenv("RELAY_SERVICE_TOKENS", READER)


class Inside:
    """Runs the command in this process, beside the test's own loop."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    async def __call__(self, *arguments: str | Path) -> tuple[int, str]:
        """Run it to its end; return its status and what it said on both streams."""
        status = await asyncio.to_thread(main, [*map(str, arguments)])
        said = self._capsys.readouterr()
        return status, said.out + said.err


@pytest.fixture
def inside(capsys: pytest.CaptureFixture[str]) -> Inside:
    return Inside(capsys)


async def chat(*arguments: str, token: str | None = READER, **streams: Any) -> Process:
    """A process of its own: it takes signals, and standard input."""
    environment = clean_environment() | {"PYTHONPATH": str(ROOT)}
    environment |= {} if token is None else {"RELAY_SERVICE_TOKENS": token}
    command = (sys.executable, "-P", "-m", "app", "chat", *arguments)
    return await asyncio.create_subprocess_exec(*command, env=environment, **streams)


async def chatted(said: str, *arguments: str, token: str | None = READER) -> tuple[int, str]:
    """What comes of a chat with piped lines: its status, and both its streams."""
    process = await chat(*arguments, token=token, stdin=PIPE, stdout=PIPE, stderr=STDOUT)
    out, _ = await asyncio.wait_for(process.communicate(said.encode()), 60)
    assert process.returncode is not None
    return process.returncode, out.decode()


async def test_piped_lines_are_said_one_after_the_other(live: Gateway) -> None:
    piped = "Where is my parcel?\n\nA-1001"
    status, told = await chatted(piped, "--url", live.base, "--agent", "support")
    assert status == 0, told
    order = [
        "user: Where is my parcel?",
        "number, for example 1001.",
        "user: A-1001",
        '[tool] check_order_status {"order_number": "A-1001"}',
        '[tool] show_order {"order_number": "A-1001"',
        "[result] Completed",
        "1000: The conversation has ended.",
    ]
    places = [told.find(each) for each in order]
    assert -1 not in places, told
    assert places == sorted(places), told
    assert told.count("[tool] check_order_status") == told.count("[tool] show_order {") == 1
    assert "\x1b" not in told


async def test_a_ticket_of_ones_own_will_do(live: Gateway) -> None:
    ticket = await live.ticket("user", agent="echo")
    options = ("--url", live.ws, "--agent", "echo", "--ticket", ticket)
    status, told = await chatted("hello \x1b[31m\n", *options, token=None)
    assert status == 0, told
    assert "assistant: hello \\x1b[31m" in told
    assert "\x1b" not in told


async def test_what_ends_badly_ends_with_1_and_a_sentence(live: Gateway) -> None:
    bad = [
        ("absent", READER, "There is no such agent."),
        ("echo", None, "No credential was presented."),
        ("rude", READER, "4502: The agent could not be reached."),
    ]
    ended = await asyncio.gather(
        *(
            chatted("hello\n", "--url", live.base, "--agent", agent, token=token)
            for agent, token, _ in bad
        )
    )
    for (status, told), (_, _, sentence) in zip(ended, bad, strict=True):
        assert status == 1, told
        assert sentence in told
        assert "Traceback" not in told


async def test_at_a_terminal_partial_texts_change_in_place_and_ctrl_c_ends_it(
    live: Gateway, emulator: Emulator
) -> None:
    master, slave = pty.openpty()
    options = ("--url", live.base, "--agent", "growing")
    process = await chat(*options, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    os.set_blocking(master, False)
    screen = bytearray()

    def shows(text: str) -> bool:
        with suppress(OSError):
            screen.extend(os.read(master, 1 << 16))
        return text.encode() in screen

    try:
        await until(lambda: shows("connection"), within=30)
        os.write(master, b"one two three four five\n")
        await until(lambda: shows("one two three four five\r\n"), within=30)
        await until(lambda: shows("assistant:\x1b[0m one two three four five"), within=30)
        assert shows("assistant:\x1b[0m one two …")
        process.send_signal(signal.SIGINT)
        await until(lambda: shows("1000: The conversation has ended."), within=30)
        assert await asyncio.wait_for(process.wait(), 20) == 0
    finally:
        os.close(master)
    assert b"Traceback" not in screen
    over = [call for call in await emulator.conversations() if call["agent"] == "echo"]
    assert over[-1]["terminated"]


@pytest.mark.parametrize("token", [READER, SERVICE_TOKEN], ids=["content", "no content"])
async def test_hidden_tool_calls_are_seen_by_the_live_events(
    token: str, live: Gateway, tmp_path: Path, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a token that may not see what was said, the name alone."""
    (tmp_path / "order.yaml").write_text(
        "agent: support\nsettle: 0.1\nmocks: {show_order: {result: {}}}\nturns:\n"
        "  - say: A-1001\n    expect: {tool: {name: check_order_status}}\n"
        "ends: agent\n---\n"
        "agent: support\nsettle: 0.1\nmocks: {show_order: {result: {}}}\nturns:\n"
        "  - say: A-1001\n    expect:\n      within: 2\n"
        "      tool: {name: check_order_status, args: {order_number: A-1001}}\n"
        "ends: agent\n"
    )
    monkeypatch.setenv("RELAY_SERVICE_TOKENS", token)
    status, told = await inside("test", "order.yaml", "--url", live.base)
    if token == READER:
        assert status == 0, told
    else:
        assert status == 1, told
        assert told.splitlines()[-1] == "2 scenarios: 1 held, 1 failed"
        assert "a call of check_order_status (not shown to this token)" in told
        assert "RELAY_CONTENT_TOKENS" in told


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def recorded(live: Gateway) -> str:
    """The id of a conversation with an order and a page's tool, ended by the agent."""
    ticket = await live.ticket("user", agent="support", call_type="chat")
    async with browser(f"{live.ws}/ws/support?ticket={ticket}") as page:
        session = await page.connected()
        await page.say("Where is my parcel?")
        await until_said(page, "for example 1001.")
        await page.say("It is A-1002.")
        asked = await page.frame("websocketToolRequest")
        await page.send(
            {
                "type": "websocketToolResponse",
                "content": {"id": asked["content"]["id"], "result": {"shown": "on paper"}},
            }
        )
        assert await page.closed() == 1000

    async def kept() -> bool:
        async with live.api() as backend:
            answer = await backend.get(f"/v1/conversations/{session}")
        return answer.status_code == 200 and answer.json()["ended_at"] is not None

    await until(kept)
    return session


async def until_said(page: Any, text: str) -> None:
    said = ""
    while text not in said:
        said += (await page.frame("text"))["content"]["text"]


async def test_a_recorded_conversation_becomes_a_scenario_that_holds(
    live: Gateway, recorded: str, tmp_path: Path, inside: Inside
) -> None:
    path = tmp_path / "recorded.yaml"
    record = ("test", "--record", recorded, "--url", live.base, path)
    status, told = await inside(*record)
    assert (status, told) == (0, "")
    scenario = yaml.safe_load(path.read_text())
    assert scenario["agent"] == "support"
    assert [turn.get("say") for turn in scenario["turns"]] == [
        None,
        "Where is my parcel?",
        "It is A-1002.",
    ]
    assert scenario["mocks"]["show_order"] == {"result": {"shown": "on paper"}}
    tools = {tool["name"]: tool["args"] for tool in scenario["turns"][2]["expect"]["tool"]}
    assert tools["check_order_status"] == {"order_number": "A-1002"}
    assert scenario["ends"] == {"by": "agent", "code": 1000}
    status, told = await inside("test", path, "--url", live.base)
    assert status == 0, told
    status, told = await inside(*record)
    assert (status, told) == (2, f"error: {path}: is there already\n")


async def test_what_history_has_not_is_said(live: Gateway, inside: Inside) -> None:
    for command in ("replay", "test --record"):
        arguments = [*command.split(), "0123", "--url", live.base]
        status, told = await inside(*arguments)
        assert status == 1
        assert "There is no such conversation." in told


async def test_a_replay_of_the_same_agent_shows_no_difference(
    live: Gateway, recorded: str, inside: Inside
) -> None:
    status, told = await inside("replay", recorded, "--url", live.base)
    assert status == 0, told
    lines = told.splitlines()
    assert lines[-1] == "no difference"
    assert "  user   It is A-1002." in lines
    assert any(line.startswith("  tool   check_order_status") for line in lines)
    assert lines[-2] == "  end    1000, by the agent"


async def test_a_replay_of_another_agent_shows_where_it_differs(
    live: Gateway, recorded: str, inside: Inside
) -> None:
    options = ("--url", live.base, "--agent", "polite", "--settle", "0.3", "--within", "2")
    status, told = await inside("replay", recorded, *options)
    assert status == 1, told
    lines = told.splitlines()
    assert lines[1] == "+ agent  Good day!"
    assert lines[0].startswith("- agent  Hello, this is the support desk.")
    assert "  user   Where is my parcel?" in lines
    assert "+ agent  It is A-1002." in lines
    assert '- tool   check_order_status {"order_number": "A-1002"}' in lines
    assert {"- end    1000, by the agent", "+ end    1000, by the client"} <= set(lines)
    assert "\x1b" not in told


async def test_a_replay_against_the_emulator_needs_no_other_gateway(
    live: Gateway, recorded: str
) -> None:
    command = (sys.executable, "-P", "-m", "app", "replay", recorded, "--url", live.base)
    process = await asyncio.create_subprocess_exec(
        *command,
        "--emulator",
        env=clean_environment() | {"PYTHONPATH": str(ROOT), "RELAY_SERVICE_TOKENS": READER},
        stdout=PIPE,
        stderr=STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, out.decode()
    assert out.decode().splitlines()[-1] == "no difference"


async def test_a_recorded_takeover_becomes_what_the_agent_was_told_of_it(
    live: Gateway, tmp_path: Path, inside: Inside
) -> None:
    """What a person and the user said to each other never reached the agent; a summary did."""
    ticket = await live.ticket("user", agent="echo", call_type="chat")
    async with browser(f"{live.ws}/ws/echo?ticket={ticket}") as page, live.api() as backend:
        session = await page.connected()
        await page.say("before")
        await until_said(page, "before")
        path = f"/v1/sessions/{session}"
        taken = await backend.post(f"{path}/takeover", json={"operator": "Olga"})
        assert taken.status_code == 200, taken.text
        await page.frame("event", "relay.takeover")
        await page.say("is a person there?")
        spoken = {"content": "Yes, I am.", "as": "agent"}
        assert (await backend.post(f"{path}/messages", json=spoken)).status_code == 202
        await until_said(page, "Yes, I am.")
        given = await backend.request("DELETE", f"{path}/takeover", json={"summary": "All said."})
        assert given.status_code == 200, given.text
        await until_said(page, "All said.")  # what the agent echoes
        await page.say("after")
        await until_said(page, "after")
        assert await page.terminate() == 1000

    async def kept() -> bool:
        async with live.api() as reader:
            answer = await reader.get(f"/v1/conversations/{session}")
        return answer.status_code == 200 and answer.json()["ended_at"] is not None

    await until(kept)
    file = tmp_path / "taken.yaml"
    assert await inside("test", "--record", session, "--url", live.base, file) == (0, "")
    assert "A person had taken over" in file.read_text()
    turns = yaml.safe_load(file.read_text())["turns"]
    assert [turn["say"] for turn in turns] == ["before", "All said.", "after"]
    assert [turn["expect"]["text"] for turn in turns] == ["before", "All said.", "after"]
    status, told = await inside("test", file, "--url", live.base)
    assert status == 0, told
    status, told = await inside("replay", session, "--url", live.base)
    assert (status, told.splitlines()[-1]) == (0, "no difference")
