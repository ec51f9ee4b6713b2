"""Logs for operators: one JSON object a line, the session's id on it, no secret in it.

Lines of uvicorn and httpx come by the standard library's root logger, and are rendered, redacted
and written like our own. Ours take a shorter way: to make a record of the standard library of each
costs more than all the rest.
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
from structlog.processors import NAME_TO_LEVEL

from app.telemetry.encoded import encoded_pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, MutableMapping
    from typing import TextIO

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
# What the pipeline itself puts on our own lines, whatever a caller gave under these names.
OURS: Final = frozenset(("timestamp", "level", "logger"))
# The gateway's own random ids, by which an operator finds the lines of one session.
IDS: Final = frozenset(("session",))
HEX: Final = re.compile(r"%[0-9A-F]{2}")
# Nothing of the above can stand in such a text: no "=", "%", "/", "+", no blank, no dot.
PLAIN: Final = re.compile(r"[A-Za-z0-9_:\-]{0,256}")
UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Redactor:
    """Takes known secrets out of a text in every form that a library may print them in.

    `mask` takes out what else is not to be shown, as personal data.
    """

    def __init__(self, secrets: Iterable[str], mask: Callable[[str], str] | None = None) -> None:
        self._mask = mask
        self._forms: frozenset[str] = frozenset()
        self._secrets: frozenset[str] = frozenset()
        self._known: re.Pattern[str] | None = None
        self._encoded: re.Pattern[str] | None = None
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Take these secrets out, too."""
        secrets = frozenset(secrets)
        self._secrets |= secrets
        self._encoded = encoded_pattern(self._secrets)
        forms = self._forms = self._forms.union(
            form for secret in secrets if secret for form in forms_of(secret)
        )
        self._known = (
            re.compile("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)))
            if forms
            else None
        )

    def __call__(self, text: str) -> str:
        """Return `text` without credentials and control characters, bounded in length."""
        return self.without_secrets(text if self._mask is None else self._mask(text))

    def without_secrets(self, text: str) -> str:
        """Return `text` as a call does, but unmasked."""
        if self._encoded is not None and "%" in text:
            text = self._encoded.sub(MASK, text)
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
                _redacting(redactor),
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
    # The MCP SDK writes tracebacks with what a server sent; `app.tools` names the cause instead.
    for foreign in ("mcp", "client"):
        logging.getLogger(foreign).setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[
            _drop_below_level,
            *shared,
            _always(_redacting(redactor, sound=OURS), renderer),
        ],
        logger_factory=_Factory(handler),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _redacting(
    redactor: Redactor, sound: frozenset[str] = frozenset()
) -> structlog.typing.Processor:
    """Redact all fields, but for those that are `sound`."""

    def redact(
        _logger: object, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        for key, value in event.items():
            if isinstance(value, str):
                if key in IDS:
                    event[key] = redactor.without_secrets(value)
                elif key not in sound:
                    event[key] = redactor(value)
            elif not isinstance(value, (int, float, type(None))):
                event[key] = redactor(str(value))
        return event

    return redact


def _always(
    redact: structlog.typing.Processor, renderer: structlog.typing.Processor
) -> structlog.typing.Processor:
    """Redact and render, whatever a caller gave: who logs never hears of what cannot be shown."""

    def render(logger: Any, method: str, event: MutableMapping[str, Any]) -> Any:
        try:
            return renderer(logger, method, redact(logger, method, event))  # type: ignore[arg-type]
        except Exception:  # noqa: BLE001 - foreign objects say here how they are to be shown
            ours = {name: value for name, value in event.items() if name in OURS}
            return renderer(logger, method, {**ours, "event": "unprintable"})

    return render


class _Factory:
    """Makes the loggers that ours write to, named as the standard library's would be."""

    __slots__ = ("_handler", "_named")

    def __init__(self, handler: logging.StreamHandler[TextIO]) -> None:
        self._handler = handler
        self._named = structlog.stdlib.LoggerFactory(ignore_frame_names=[__name__])

    def __call__(self, *args: Any) -> _Line:
        return _Line(self._named(*args), self._handler)


class _Line:
    """Where finished lines of one name go: the handler's stream, as the handler itself writes.

    `is_enabled` is the standard library's word on a level, which it remembers.
    """

    __slots__ = ("_handler", "is_enabled", "name")

    def __init__(self, named: logging.Logger, handler: logging.StreamHandler[TextIO]) -> None:
        self.name = named.name
        self.is_enabled = named.isEnabledFor
        self._handler = handler

    def write(self, line: str) -> None:
        """Write one line; who logs never hears of a stream that is full or gone."""
        handler = self._handler
        handler.acquire()  # other threads log too
        try:
            handler.stream.write(line + handler.terminator)
            handler.flush()
        except (OSError, ValueError):
            pass
        finally:
            handler.release()

    debug = info = warning = warn = error = exception = critical = fatal = write


def _drop_below_level(
    logger: _Line, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    if not logger.is_enabled(NAME_TO_LEVEL[method]):
        raise structlog.DropEvent
    return event


def _json(event: Any, **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()


def _name_exception(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Keep an exception's class and place; its text and its locals may hold secrets."""
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
