"""What is wrong with routes and fallbacks: each fault names the agent and the member."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.settings.agents import AgentSettings


def routing_faults(agents: Mapping[str, AgentSettings]) -> list[str]:
    """Return a line for every fault of any agent's `route` and `fallback`."""
    faults: list[str] = []
    for name, agent in agents.items():
        faults += [f"RELAY_AGENTS: {name}.{fault}" for fault in _route(name, agent, agents)]
        faults += [f"RELAY_AGENTS: {name}.{fault}" for fault in _fallback(name, agent, agents)]
    return faults


def _route(name: str, agent: AgentSettings, agents: Mapping[str, AgentSettings]) -> list[str]:
    faults: list[str] = []
    for place, route in enumerate(agent.route):
        where = f"route.{place}.agent"
        if route.agent not in agents:
            faults.append(f"{where} names no agent")
        elif route.agent != name and agents[route.agent].route:
            faults.append(f"{where} has routes of its own: only one step is followed")
    twice = [
        each for each, count in Counter(route.agent for route in agent.route).items() if count > 1
    ]
    faults += [f"route names {each} twice" for each in twice if each in agents]
    if agent.route and not any(route.weight for route in agent.route):
        faults.append("route has no weight above 0")
    return faults


def _fallback(name: str, agent: AgentSettings, agents: Mapping[str, AgentSettings]) -> list[str]:
    if agent.fallback is None:
        return []
    if agent.fallback not in agents:
        return ["fallback names no agent"]
    if agent.fallback == name:
        return ["fallback is the agent itself"]
    if not agent.call_types & agents[agent.fallback].call_types:
        return ["fallback has none of its call_types"]
    return []
