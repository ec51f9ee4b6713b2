"""What a widget is told of an agent before it opens a socket, pure.

The vendor's `GET /api/v1/web-integrations/discover` (D) answers `integrationId`, `agentId`, `name`,
`enabled`, `description`, `features`, `widgetAppearance` and `tools`. Unknown members pass
through.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from app.protocol.frames import TOOL_CALL, TOOL_CALL_RESULT
from app.protocol.principal import CallType

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from app.protocol.initialize import Profile

WEB_CHAT: Final = "AllowWebChat"
WEB_CALL: Final = "AllowWebCall"
CALL_RESULT: Final = "SendCallResult"
AUDIO_TRANSCRIPT: Final = "SendTranscriptForAudioCall"
TOOL_CALL_LOGS: Final = "SendToolCallLogs"
BY_CALL_TYPE: Final = {WEB_CHAT: CallType.CHAT, WEB_CALL: CallType.WEB_CALL}
OLDER_TOOLS: Final = "toolsViaWebsocket"
TOOL_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,127}")
MAX_TOOLS: Final = 256
SHAPES: Final[dict[str, tuple[type, ...]]] = {
    "integrationId": (str, type(None)),
    "agentId": (str, type(None)),
    "name": (str, type(None)),
    "enabled": (bool,),
    "description": (str, type(None)),
    "features": (list,),
    "widgetAppearance": (dict, type(None)),
    "tools": (list, type(None)),
}
MEMBERS: Final = frozenset(SHAPES)


def document(
    profile: Profile, call_types: Collection[CallType], vendor: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the answer: the vendor's where it is given, else the profile's.

    The profile's `discover` overrides both. A call type that is not among `call_types` is shown
    as off, whatever the vendor or `discover` says: the gateway would refuse it.
    """
    told = _of_profile(profile)
    for source in (vendor or {}, profile.discover):
        for name, value in source.items():
            nested = name == "widgetAppearance" and isinstance(value, dict)
            if value is not None or name not in told:
                told[name] = {**told[name], **value} if nested else value
    told["features"] = [
        {**feature, "enabled": feature["enabled"] and _allowed(feature["name"], call_types)}
        for feature in told["features"]
    ]
    return told


def malformed(answer: object) -> str | None:
    """Return the first member of an answer that is not what it should be; None if all are.

    `answer` where it is no object at all. Members that are absent are no fault.
    """
    if not isinstance(answer, dict):
        return "answer"
    for name, types in SHAPES.items():
        if name in answer and not isinstance(answer[name], types):
            return name
    if not all(_is_feature(feature) for feature in answer.get("features", ())):
        return "features"
    names = [_tool_name(tool) for tool in _listed(answer)]
    return "tools" if len(names) > MAX_TOOLS or None in names else None


def tool_names(answer: Mapping[str, Any]) -> frozenset[str]:
    """The names of the tools that an integration lists; `answer` is not malformed."""
    return frozenset(filter(None, (_tool_name(tool) for tool in _listed(answer))))


def feature(answer: Mapping[str, Any], name: str) -> bool | None:
    """Whether a feature is on; None where the answer does not mention it."""
    found = [f["enabled"] for f in answer.get("features", ()) if f["name"] == name]
    return found[0] if found else None


def _of_profile(profile: Profile) -> dict[str, Any]:
    on = {
        WEB_CHAT: True,
        WEB_CALL: True,
        CALL_RESULT: "conversationResult" not in profile.hide,
        AUDIO_TRANSCRIPT: "text" not in profile.hide,
        TOOL_CALL_LOGS: not {TOOL_CALL, TOOL_CALL_RESULT} & profile.hide,
    }
    return {
        "integrationId": profile.web_integration_id or profile.name,
        "agentId": profile.name,
        "name": profile.name,
        "enabled": True,
        "description": "",
        "features": [{"name": name, "enabled": enabled} for name, enabled in on.items()],
        "widgetAppearance": {
            "theme": "light",
            "position": "bottom-right",
            "colors": {},
            "customStyles": "",
        },
        "tools": sorted(profile.browser_tools),
    }


def _allowed(name: str, call_types: Collection[CallType]) -> bool:
    call_type = BY_CALL_TYPE.get(name)
    return call_type is None or call_type in call_types


def _is_feature(value: object) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("name"), str)
        and isinstance(value.get("enabled"), bool)
    )


def _listed(answer: Mapping[str, Any]) -> list[Any]:
    found = answer.get("tools")
    if found is None:
        found = answer.get(OLDER_TOOLS)
    return found if isinstance(found, list) else []


def _tool_name(tool: object) -> str | None:
    """A tool is its name, or an object that has one."""
    name = tool.get("name") if isinstance(tool, dict) else tool
    return name if isinstance(name, str) and TOOL_NAME.fullmatch(name) else None
