"""A gateway in this process for the time of a block: what `test` and `replay` talk to.

Its agents, tools and upstream are those of the configuration; all else is its own: it shares no
store, sends no webhook, records nothing and listens on loopback alone.
"""

from __future__ import annotations

import logging
import secrets
import socket
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from app.cli.conversing.gateway import Gateway
from app.cli.emulator_process import emulator
from app.cli.quickstart import DEMO_AGENTS, DEMO_KEY
from app.settings import Settings, load
from app.settings.agents import AgentSettings
from app.settings.model import PREFIX
from app.telemetry.logs import Redactor, configure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from app.tools import Tool

    Replacing = Mapping[str, Callable[[Tool | None], Tool]]

KEY: Final = f"{PREFIX}BLACKBOX_API_KEY"
KEPT: Final = frozenset(
    {
        *("BLACKBOX_API_KEY", "BLACKBOX_URL", "ALLOW_INSECURE_UPSTREAM", "UPSTREAM", "PROXY"),
        *("WEB_INTEGRATION_TOKEN", "WEB_INTEGRATION_ID", "AGENTS", "CONNECT_TIMEOUT"),
        *("TOOLS", "HTTP_TOOLS", "MCP_SERVERS", "WEBHOOK_ALLOWED_HOSTS"),
        *("TOOL_TIMEOUT", "TOOL_CONCURRENCY", "IDLE_TIMEOUT", "INITIALIZE_TIMEOUT"),
    }
)
"""The variables of the configuration that hold here, without their prefix."""

SHOWN: Final = frozenset({"toolCall", "toolCallResult"})
"""Types of frames that no profile hides here."""


def uses_emulator(known: Mapping[str, str]) -> bool:
    """Tell whether there is no key to dial the vendor with."""
    return not (known.get(KEY) or known.get(f"{KEY}_FILE"))


@asynccontextmanager
async def local_gateway(
    known: Mapping[str, str], replaced: Replacing | None = None, *, logs: bool = True
) -> AsyncIterator[Gateway]:
    """Run a gateway for the time of a block, before the emulator where there is no key.

    `known` are the variables of the configuration. `replaced` makes a tool of the one that is
    registered under a name, if any is; those of the page are left to the client.
    `logs`: warnings go to standard error, as the process's only logs. Raises `ConfigurationError`.
    """
    async with AsyncExitStack() as stack:
        given = _given(known)
        if uses_emulator(known):
            given[f"{PREFIX}BLACKBOX_URL"] = await stack.enter_async_context(emulator(DEMO_KEY))
            given[KEY] = DEMO_KEY
        token = secrets.token_urlsafe(24)
        settings = _settings(given, token, demo=uses_emulator(known))
        if logs:
            _log_warnings(settings)
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        await stack.enter_async_context(_served(settings, listener, replaced or {}))
        yield Gateway(f"http://127.0.0.1:{listener.getsockname()[1]}", token)


def _given(known: Mapping[str, str]) -> dict[str, str]:
    """The variables that hold here, and those that no gateway knows, so that they are reported."""
    names = {PREFIX + name.upper() for name in Settings.model_fields}
    kept = {PREFIX + name for name in KEPT}
    return {
        name: value
        for name, value in known.items()
        if name.startswith(PREFIX)
        and ((plain := name.removesuffix("_FILE")) in kept or not {name, plain} & names)
    }


def _settings(given: dict[str, str], token: str, *, demo: bool) -> Settings:
    own = {
        "AUTH": "ticket",
        "SERVICE_TOKENS": token,
        "CONTENT_TOKENS": token,
        "RESUME_WINDOW": "0",
        "MAX_SESSIONS_PER_IP": "5000",
        "LOG_LEVEL": "warning",
        "LOG_FORMAT": "console",
    }
    settings = load(given | {PREFIX + name: value for name, value in own.items()})
    agents: Mapping[str, Any] = settings.agents
    if demo and not given.keys() & {f"{PREFIX}AGENTS", f"{PREFIX}AGENTS_FILE"}:
        agents = DEMO_AGENTS
        tools = settings.tools or ("app.examples.support_tools",)
        settings = settings.model_copy(update={"tools": tools})
    shown = {name: _showing(profile or {}) for name, profile in agents.items()}
    return settings.model_copy(update={"agents": shown})


def _showing(profile: Mapping[str, Any]) -> dict[str, Any]:
    hidden = AgentSettings.model_validate(profile).hide
    return {**profile, "hide": sorted(hidden - SHOWN)}


def _log_warnings(settings: Settings) -> None:
    configure("warning", "console", Redactor(settings.secrets))
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


@asynccontextmanager
async def _served(
    settings: Settings, listener: socket.socket, replaced: Replacing
) -> AsyncIterator[None]:
    from app.bootstrap.application import build  # noqa: PLC0415 - other commands need not wait for it
    from app.bootstrap.serve import serving  # noqa: PLC0415

    application = build(settings)
    registry = application.tool_set.registry
    for name in sorted(replaced.keys() - _page_tools(settings)):
        registry.override(replaced[name](registry.get(name)))
    async with serving(application, listener):
        yield


def _page_tools(settings: Settings) -> set[str]:
    """The tools that some agent's page runs: here the client answers them."""
    listed = (agent.browser_tools for agent in settings.agent_settings.values())
    return {name for tools in listed if isinstance(tools, frozenset) for name in tools}
