"""Checks the vendor's web integrations: what is off there that the gateway relies on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.cli.doctor.finding import Finding, fault, fine, note
from app.protocol import discover
from app.protocol.frames import TOOL_CALL, TOOL_CALL_RESULT
from app.protocol.principal import CallType
from app.upstream.integration import DISCOVER, DiscoverFailed, ask

if TYPE_CHECKING:
    from collections.abc import Collection

    import httpx

    from app.protocol.initialize import Profile
    from app.settings import Settings
    from app.upstream.endpoint import Endpoint

TURN_ON = "turn {name} on in the web integration's settings"


async def check_integration(
    settings: Settings,
    profile: Profile,
    endpoint: Endpoint,
    client: httpx.AsyncClient,
    registered: Collection[str],
) -> list[Finding]:
    """Ask `discover` with the agent's token; `registered` are the gateway's own tools."""
    subject = f"{profile.name}: web integration"
    try:
        answer = await ask(endpoint, client)
    except DiscoverFailed as failed:
        advice = "conversations may work all the same; check the web integration's token"
        return [note(subject, f"{DISCOVER} tells nothing ({failed.cause})", advice)]
    found = []
    if answer.get("enabled") is False:
        found.append(fault(subject, "is not enabled", "enable it at the vendor"))
    found += _features(settings, profile, answer)
    found += _tools(profile, answer, registered)
    return found or [fine(subject, "has on what the gateway relies on")]


def _features(settings: Settings, profile: Profile, answer: dict[str, Any]) -> list[Finding]:
    """One finding for each feature that is off and needed; one not mentioned says nothing."""
    keeps = settings.history_url is not None
    posts = settings.result_webhook_url is not None
    calls = CallType.WEB_CALL in profile.call_types
    needed = [
        (discover.WEB_CHAT, CallType.CHAT in profile.call_types, "chats are refused", True),
        (discover.WEB_CALL, calls, "web calls are refused", True),
        (discover.CALL_RESULT, keeps or posts, "results stay empty", False),
        (
            discover.AUDIO_TRANSCRIPT,
            (keeps or posts) and calls,
            "web calls leave no transcript",
            False,
        ),
        (
            discover.TOOL_CALL_LOGS,
            not {TOOL_CALL, TOOL_CALL_RESULT} <= profile.hide,
            "pages see no tool calls, although the profile shows them",
            False,
        ),
    ]
    found = []
    for name, relied_on, effect, grave in needed:
        if relied_on and discover.feature(answer, name) is False:
            subject = f"{profile.name}: {name}"
            said, advice = f"is off: {effect}", TURN_ON.format(name=name)
            found.append(fault(subject, said, advice) if grave else note(subject, said, advice))
    return found


def _tools(profile: Profile, answer: dict[str, Any], registered: Collection[str]) -> list[Finding]:
    """Name the tools that the gateway has for the agent, and the integration does not list."""
    if "tools" not in answer and discover.OLDER_TOOLS not in answer:
        return []
    listed = discover.tool_names(answer)
    own = set(profile.tools if profile.tools is not None else registered)
    missing = sorted((own | profile.browser_tools) - listed)
    if not missing:
        return []
    shown = ", ".join(missing[:10]) + (" …" if len(missing) > 10 else "")  # noqa: PLR2004
    advice = "add them to the web integration's tools, or the agent never asks for them"
    return [note(f"{profile.name}: tools", f"not listed by the integration: {shown}", advice)]
