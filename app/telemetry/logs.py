"""Logs for operators: one JSON object a line, the session's id on it, no secret in it.

Everything goes through the standard library's root logger, so that lines of uvicorn and httpx are
rendered and redacted like our own.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, quote_plus, unquote

import orjson
import structlog

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping

MASK: Final = "[redacted]"
MAX_FIELD: Final = 2048
# Parameter names may be percent-encoded in whole or in part, and so may a whole URL within another:
# any run of such characters is taken whole and decoded before its last name is compared.
CREDENTIAL: Final = re.compile(
    r"""(?ix)
    (?P<head>(?<![a-z0-9_%\-])(?P<name>[a-z0-9_%\-]+)(?:=|%3d))(?P<value>[^&\s"'#]+)
    | (?P<scheme>bearer(?:[\s.+]|%20)+)(?P<token>[^\s,"']+)
    | (?P<user>://[^/\s:@"']*:)[^/\s@"']+(?=@)
    | (?P<jwt>(?<![\w-])eyJ[\w-]+\.[\w-]+\.[\w-]*)
    """
)
SECRET_NAMES: Final = frozenset(
    {
        *("authorization", "token", "ticket", "resume", "key", "api_key", "apikey", "api-key"),
        *("access_token", "id_token", "jwt", "secret", "password"),
    }
)
HEX: Final = re.compile(r"%[0-9A-F]{2}")
# Nothing of the above can stand in such a text: no "=", "%", "/", "+", no blank, no dot.
PLAIN: Final = re.compile(r"[A-Za-z0-9_:\-]{0,256}")
UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Redactor:
    """Takes known secrets out of a text in every form that a library may print them in."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets if secret for form in forms_of(secret)}
        self._known = (
            re.compile("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)))
            if forms
            else None
        )

    def __call__(self, text: str) -> str:
        """Return `text` without credentials and control characters, bounded in length."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        if PLAIN.fullmatch(text):
            return text
        text = CREDENTIAL.sub(_mask, text)
        text = UNPRINTABLE.sub(lambda found: f"\\x{ord(found.group()):02x}", text)
        return text if len(text) <= MAX_FIELD else text[:MAX_FIELD] + "…"


def forms_of(secret: str) -> set[str]:
    """A secret as it may stand in a URL, in a JSON text, or in a representation."""
    encoded = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    return {
        secret,
        *encoded,
        *(HEX.sub(lambda found: found.group().lower(), form) for form in encoded),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        repr(secret.encode())[2:-1],
    }


def _mask(found: re.Match[str]) -> str:
    if found["jwt"]:
        return MASK
    if found["scheme"] or found["user"]:
        return (found["scheme"] or found["user"]) + MASK
    name = re.split(r"[?&;]", unquote(found["name"]))[-1]
    masked = MASK if name.lower() in SECRET_NAMES else CREDENTIAL.sub(_mask, found["value"])
    return found["head"] + masked


def configure(level: str, style: str, redactor: Redactor) -> None:
    """Send all logs of the process to standard error, redacted; `style` is json or console."""

    def redact(
        _logger: object, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        for key, value in event.items():
            if isinstance(value, str):
                event[key] = redactor(value)
            elif not isinstance(value, (int, float, type(None))):
                event[key] = redactor(str(value))
        return event

    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _name_exception,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(serializer=_json)
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.PositionalArgumentsFormatter()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                redact,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    # Below this libraries log URLs, headers and statements, which are not ours to keep.
    root.setLevel(logging.WARNING)
    logging.getLogger("app").setLevel(level.upper())
    logging.getLogger("uvicorn.error").setLevel(logging.INFO)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _json(event: Any, **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()


def _name_exception(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Keep an exception's class and place; its text and its locals may hold what nobody may see."""
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    if isinstance(info, BaseException):
        info = (type(info), info, info.__traceback__)
    if isinstance(info, tuple) and info[0] is not None:
        event["exception"] = info[0].__name__
        trace = info[2]
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        if trace is not None:
            event["at"] = f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}"
    return event
