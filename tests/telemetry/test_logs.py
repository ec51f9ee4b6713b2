"""Every line of the process's log is one JSON object, whoever wrote it, and holds no secret."""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from app.telemetry import logs
from app.telemetry.logs import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECRET = "canary-key-51d0"


@contextmanager
def restored() -> Iterator[None]:
    """Put the process's logging back as it was."""
    root, kept = logging.getLogger(), structlog.get_config()
    before = (root.handlers, root.level)
    levels = {name: logging.getLogger(name).level for name in ("app", "uvicorn.error")}
    try:
        yield
    finally:
        structlog.configure(**kept)
        root.handlers, level = before
        root.setLevel(level)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


class Written:
    """Configures logging, and reads what it writes to standard error."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._stream = StringIO()

    def begin(self, level: str = "debug", style: str = "json") -> structlog.stdlib.BoundLogger:
        """Configure as the server does; return a logger of ours."""
        self._monkeypatch.setattr("sys.stderr", self._stream)
        logs.configure(level, style, Redactor([SECRET]))
        logger: structlog.stdlib.BoundLogger = structlog.get_logger("app.test")
        return logger

    @property
    def lines(self) -> list[str]:
        """Every line; none holds the secret."""
        text = self._stream.getvalue()
        assert "canary" not in text
        return text.splitlines()

    @property
    def events(self) -> list[dict[str, Any]]:
        """Every line as the object that it is."""
        return [json.loads(line) for line in self.lines]

    @property
    def event(self) -> dict[str, Any]:
        """The only one."""
        (event,) = self.events
        return event


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[Written]:
    with restored():
        yield Written(monkeypatch)


def fail(value: str) -> None:
    raise RuntimeError(f"could not use {value}")


def caught(run: Callable[[], None]) -> BaseException:
    with pytest.raises(Exception, match="canary") as raised:
        run()
    return raised.value


def test_line_is_an_object_with_time_level_and_logger(written: Written) -> None:
    log = written.begin()
    log.warning("tool_failed", tool="x", count=3, took=0.5, nothing=None)
    event = written.event
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": "tool_failed",
        "level": "warning",
        "logger": "app.test",
        "tool": "x",
        "count": 3,
        "took": 0.5,
        "nothing": None,
    }


def test_session_id_that_is_bound_is_on_the_line(written: Written) -> None:
    written.begin().bind(session="s-1").info("session_started")
    assert written.event["session"] == "s-1"


def test_secret_is_redacted_in_our_own_lines(written: Written) -> None:
    log = written.begin()
    said = f"said {SECRET}"
    log.info(said, a=SECRET, b=[SECRET], c={"k": SECRET}, d=SECRET.encode())
    assert written.event["a"] == "[redacted]"


def test_secret_is_redacted_in_the_lines_of_libraries(written: Written) -> None:
    written.begin()
    logging.getLogger("httpx").warning("GET %s failed", f"https://x/?authorization={SECRET}")
    assert written.event["event"] == "GET https://x/?authorization=[redacted] failed"


def test_exception_is_logged_as_its_class_and_place_alone(written: Written) -> None:
    log = written.begin()
    try:
        fail(SECRET)
    except RuntimeError:
        log.exception("crashed")
    event = written.event
    assert event["exception"] == "RuntimeError"
    assert event["at"].startswith("fail:")
    assert not {"exc_info", "stack", "stack_info"} & event.keys()


def test_exception_of_a_library_is_logged_as_its_class_and_place_alone(written: Written) -> None:
    written.begin()
    error = caught(lambda: fail(SECRET))
    logging.getLogger("asyncio").error("oh", exc_info=error, stack_info=True)
    event = written.event
    assert event["exception"] == "RuntimeError"
    assert event["at"].startswith("fail:")


def test_chained_exceptions_and_groups_leak_nothing(written: Written) -> None:
    log = written.begin()

    def fail_twice() -> None:
        try:
            fail(SECRET)
        except RuntimeError as error:
            raise ExceptionGroup(SECRET, [error]) from error

    try:
        fail_twice()
    except ExceptionGroup:
        log.exception("crashed")
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
    assert [event["exception"] for event in written.events] == ["ExceptionGroup"] * 2


def test_exception_without_a_place_is_its_class(written: Written) -> None:
    written.begin().error("crashed", exc_info=ValueError(SECRET))
    assert written.event["exception"] == "ValueError"
    assert "at" not in written.event


def test_exception_info_without_an_exception_says_nothing_of_one(written: Written) -> None:
    written.begin().info("fine", exc_info=True)
    assert "exception" not in written.event


def test_crlf_and_ansi_in_a_value_stay_on_the_line(written: Written) -> None:
    written.begin().info("seen", name="a\r\nlevel=error\x1b[2J")
    assert written.event["name"] == "a\\x0d\\x0alevel=error\\x1b[2J"


def test_half_a_character_does_not_cost_the_line(written: Written) -> None:
    written.begin().info("seen", name="a\ud800b")
    assert written.event["name"] == "a\\xd800b"


@pytest.mark.parametrize("style", ["json", "console"])
def test_what_cannot_be_shown_is_said_to_be_so_and_nobody_who_logs_is_hit(
    written: Written, style: str
) -> None:
    class Shy:
        def __str__(self) -> str:
            raise ValueError(SECRET)

    written.begin(style=style).warning("seen", what=Shy())
    (line,) = written.lines
    assert "unprintable" in line
    assert "app.test" in line


def test_stream_that_is_gone_hits_nobody_who_logs(written: Written) -> None:
    log = written.begin()
    written._stream.close()
    log.warning("seen")


def test_logger_without_a_name_has_its_modules(written: Written) -> None:
    written.begin()
    structlog.get_logger().warning("seen")
    assert written.event["logger"] == __name__


def test_console_is_redacted_and_escaped_too(written: Written) -> None:
    log = written.begin(style="console")
    log.info("dialled", url=f"wss://x/?authorization={SECRET}", name="a\r\nb\x1b[2J")
    (line,) = written.lines
    assert "[redacted]" in line
    assert "\x1b[2J" not in line


def test_libraries_are_heard_from_warnings_on_whatever_our_level(written: Written) -> None:
    written.begin()
    for name in ("httpx", "websockets.client", "uvicorn.access", "sqlalchemy.engine"):
        logging.getLogger(name).info(f"GET /ws?ticket={SECRET}")  # noqa: G004 - as they might
        logging.getLogger(name).debug(f"> Authorization: {SECRET}")  # noqa: G004
    assert written.lines == []


def test_our_own_level_holds_for_our_own_lines(written: Written) -> None:
    log = written.begin("warning")
    log.debug("a")
    log.info("b")
    log.warning("c")
    assert [event["event"] for event in written.events] == ["c"]
