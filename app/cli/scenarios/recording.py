"""A scenario from a conversation that history has kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import yaml

from app.cli.conversing.gateway import GatewayFailed
from app.protocol.principal import CallType

if TYPE_CHECKING:
    from app.cli.conversing.gateway import Gateway

MAX_PAGES: Final = 100
AGENT: Final = "agent"
"""The speaker of what the agent itself said."""

HEAD: Final = """\
# yaml-language-server: $schema={schema}
# Recorded from the conversation {id}.
# An agent seldom says the same twice: shorten each `text` to what must be said, as `contains` or
# `matches`.
"""
TAKEN_OVER: Final = """\
# A person had taken over for a while: what was said then never reached the agent and is left out.
"""
SCHEMA: Final = "./scenario.schema.json"


@dataclass(slots=True)
class RecordedTurn:
    """What the user said, and what the agent did then; times are Unix seconds."""

    say: str | None
    at: float
    said: list[str] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Recording:
    """A chat as its agent saw it. `ended_by_client`: the browser asked for the end.

    `taken_over`: a person spoke in the agent's place for a while.
    """

    id: str
    agent: str
    additional_data: dict[str, Any]
    turns: list[RecordedTurn]
    tools: list[dict[str, Any]]
    close_code: int | None
    ended_by_client: bool
    taken_over: bool = False


async def fetched(gateway: Gateway, conversation_id: str) -> Recording:
    """Read a conversation from a gateway's history. Raises `GatewayFailed`."""
    path = f"/v1/conversations/{quote(conversation_id, safe='')}"
    shown = await gateway.get(path)
    if shown["call_type"] != CallType.CHAT.value:
        raise GatewayFailed("this conversation was no chat: only chats can be played again")
    turns = await _all(gateway, f"{path}/transcript", "turns")
    if any(turn["text"] is None for turn in turns):
        raise GatewayFailed("what was said is not kept there: RELAY_HISTORY_CONTENT is false")
    first = await gateway.get(f"{path}/events", limit="1000")
    events = first["events"]
    if first["next"] is not None:
        events += await _all(gateway, f"{path}/events", "events", first["next"])
    hung_up = any(
        event["type"] == "terminate" and event["direction"] == "from_browser" for event in events
    )
    tools = sorted(first.get("tools", []), key=lambda call: call["at"] - call["seconds"])
    answers = _answers(events)
    tools = [call | {"result": answers.get(call["call_id"], call["result"])} for call in tools]
    data = shown.get("additional_data") or {}
    periods = _takeovers(events)
    return Recording(
        shown["id"],
        shown.get("requested_agent") or shown["agent"],
        data,
        _turns(_reaching_agent(turns, periods), tools),
        tools,
        shown["close_code"],
        hung_up,
        bool(periods),
    )


def _takeovers(events: list[dict[str, Any]]) -> list[tuple[float, float]]:
    """From when until when a person spoke in the agent's place, in Unix seconds."""
    found: list[tuple[float, float]] = []
    for event in sorted(events, key=lambda event: event["at"]):
        if event["name"] == "relay.takeover" and (not found or found[-1][1] < inf):
            found.append((event["at"], inf))
        elif event["name"] == "relay.handback" and found and found[-1][1] == inf:
            found[-1] = (found[-1][0], event["at"])
    return found


def _reaching_agent(
    turns: list[dict[str, Any]], periods: list[tuple[float, float]]
) -> list[dict[str, Any]]:
    """The turns that the agent has heard or said.

    What a person or a backend said to the page is none of the agent's, nor has it heard what the
    user said while taken over. The summary that it got at the end was said to it as by the user.
    """
    found = []
    for turn in turns:
        if turn["source"] == "user":
            if not any(begin <= turn["started_at"] < end for begin, end in periods):
                found.append(turn)
        elif turn.get("speaker", AGENT) == AGENT:
            found.append(turn)
        elif turn.get("held"):
            found.append(turn | {"source": "user"})
    return found


def _answers(events: list[dict[str, Any]]) -> dict[str, Any]:
    """What tools answered, by the call's id, as the vendor repeats it: a page's answers, too."""
    found: dict[str, Any] = {}
    for event in events:
        data = event["data"] if event["type"] == "toolCallResult" else None
        content = data.get("content", data) if isinstance(data, dict) else None
        if isinstance(content, dict) and "result" in content:
            found[str(content.get("id"))] = content["result"]
    return found


async def _all(
    gateway: Gateway, path: str, name: str, cursor: str | None = None
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for _ in range(MAX_PAGES):
        page = await gateway.get(
            path, limit="1000", **({} if cursor is None else {"cursor": cursor})
        )
        found += page[name]
        cursor = page["next"]
        if cursor is None:
            return found
    raise GatewayFailed("this conversation is too long to be played again")


def _turns(turns: list[dict[str, Any]], tools: list[dict[str, Any]]) -> list[RecordedTurn]:
    """Group what was said and called by what the user said before."""
    found = [RecordedTurn(None, 0.0)]
    for turn in turns:
        if turn["source"] == "user":
            found.append(RecordedTurn(turn["text"], turn["started_at"]))
        else:
            found[-1].said.append(turn["text"])
    for call in tools:
        begun = call["at"] - call["seconds"]
        next(turn for turn in reversed(found) if turn.at <= begun).calls.append(call)
    if found[0].said or found[0].calls:
        return found
    return found[1:]


async def recorded(gateway: Gateway, conversation_id: str) -> str:
    """The text of a scenario. Raises `GatewayFailed`."""
    return scenario_text(await fetched(gateway, conversation_id))


def scenario_text(recording: Recording) -> str:
    """A scenario that holds where the agent does again what it did."""
    scenario: dict[str, Any] = {
        "name": f"conversation {recording.id[:8]}",
        "agent": recording.agent,
    }
    if mocks := mocks_of(recording.tools):
        scenario["mocks"] = mocks
    scenario["turns"] = [_turn(turn) for turn in recording.turns]
    if recording.close_code is not None and not recording.ended_by_client:
        scenario["ends"] = {"by": "agent", "code": recording.close_code}
    if not recording.turns:
        raise GatewayFailed("nothing was said in this conversation")
    text = yaml.safe_dump(scenario, sort_keys=False, allow_unicode=True, width=100)
    note = TAKEN_OVER if recording.taken_over else ""
    return HEAD.format(schema=SCHEMA, id=recording.id) + note + text


def _turn(turn: RecordedTurn) -> dict[str, Any]:
    written: dict[str, Any] = {} if turn.say is None else {"say": turn.say}
    expected: dict[str, Any] = {}
    if turn.said:
        expected["text"] = " ".join(turn.said)
    tools = [
        {"name": call["name"]}
        | ({"args": call["arguments"]} if isinstance(call["arguments"], dict) else {})
        for call in turn.calls
    ]
    if tools:
        expected["tool"] = tools[0] if len(tools) == 1 else tools
    return written | ({"expect": expected} if expected else {})


def mocks_of(tools: list[dict[str, Any]]) -> dict[str, Any]:
    """What each tool answered: once where it was the same, else by its arguments."""
    found: dict[str, list[dict[str, Any]]] = {}
    for call in tools:
        if call["outcome"] in {"ok", "fallback"} and call["result"] is None:
            continue  # what a page answered is not kept with the call
        args = call["arguments"] if isinstance(call["arguments"], dict) else None
        mock = ({} if args is None else {"args": args}) | {"result": call["result"]}
        if mock not in found.setdefault(call["name"], []):
            found[call["name"]].append(mock)
    return {
        name: {"result": mocks[0]["result"]} if len(mocks) == 1 else mocks
        for name, mocks in found.items()
    }
