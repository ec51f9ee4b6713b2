"""Which characters a secret may hold: what a header or a URL carries, and nothing unseen.

Files and environments bring byte order marks, carriage returns and NULs along; a key with one of
them is refused by everybody, and looks right wherever it is printed.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any, Final

from pydantic import SecretStr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from app.settings.model import Settings

BYTE_ORDER_MARK: Final = "\ufeff"
# A secret of HMAC may be any text, a URL may hold a password in any script, a PEM has lines.
TEXTS: Final = frozenset({"jwt_secret", "state_url", "history_url"})
LINES: Final = frozenset({"jwt_public_key"})


def cleaned(value: str) -> str:
    """Return a value without blanks and byte order marks around it."""
    return value.strip().strip(BYTE_ORDER_MARK).strip()


def unfit_characters(settings: Settings) -> list[str]:
    """Return a fault for every secret with a character that it cannot have; never its value."""
    faults: list[str] = []
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        may = _is_seen if name in TEXTS else _is_line if name in LINES else _is_token
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, SecretStr):
                faults += _unfit(f"RELAY_{name.upper()}", item.get_secret_value(), may)
    for where, text in _nested(settings):
        faults += _unfit(where, text, _is_token)
    for where, text in _headers(settings):
        faults += _unfit(where, text, _is_header)
    return faults


def _nested(settings: Settings) -> Iterator[tuple[str, str]]:
    """Every secret within a mapping, with the place to name."""
    within: tuple[tuple[str, dict[str, Any], tuple[str, ...]], ...] = (
        ("RELAY_AGENTS", settings.agents, ("blackbox_api_key", "web_integration_token")),
        ("RELAY_HTTP_TOOLS", settings.http_tools, ("secret",)),
    )
    for name, tenant in settings.tenant_settings.items():
        for token in tenant.service_tokens:
            yield f"RELAY_TENANTS: {name}.service_tokens", token.get_secret_value()
    for variable, mapping, fields in within:
        for name, written in mapping.items():
            for field in fields if isinstance(written, dict) else ():
                if isinstance(written.get(field), str):
                    yield f"{variable}: {name}.{field}", written[field]


def _headers(settings: Settings) -> Iterator[tuple[str, str]]:
    """Every header that goes with a tool's or an MCP server's requests."""
    for variable, mapping in (
        ("RELAY_HTTP_TOOLS", settings.http_tools),
        ("RELAY_MCP_SERVERS", settings.mcp_servers),
    ):
        for name, written in mapping.items():
            headers = written.get("headers") if isinstance(written, dict) else None
            for header, value in headers.items() if isinstance(headers, dict) else ():
                if isinstance(value, str):
                    yield f"{variable}: {name}.headers.{header}", value


def _unfit(where: str, text: str, may: Callable[[str], bool]) -> list[str]:
    for position, character in enumerate(text, 1):
        if not may(character):
            return [
                f"{where}: character {position} is U+{ord(character):04X}, "
                "which no key, token or secret has; write it anew as printable ASCII"
                if may is _is_token
                else f"{where}: character {position} is U+{ord(character):04X}, which is not "
                "printable; write it anew without"
            ]
    return []


def _is_token(character: str) -> bool:
    """Printable ASCII without the blank: what `Authorization` and a query carry."""
    return "!" <= character <= "~"


def _is_header(character: str) -> bool:
    """What a header's value may hold (RFC 9110 §5.5), without bytes that are no ASCII."""
    return " " <= character <= "~" or character == "\t"


def _is_seen(character: str) -> bool:
    """Neither a control nor a format character (Unicode Cc, Cf), nor half a surrogate pair."""
    return unicodedata.category(character) not in {"Cc", "Cf", "Cs"}


def _is_line(character: str) -> bool:
    return character in "\r\n" or _is_seen(character)
