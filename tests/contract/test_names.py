"""Every variable, make target and close code that others rely on is there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from app.protocol.close_codes import CLOSE_REASONS
from app.settings import load
from tests.contract import names
from tests.support.gateway import ROOT

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = {"RELAY_UPSTREAM": "webcall", "RELAY_WEB_INTEGRATION_TOKEN": "some-token"}


def plain(value: Any) -> Any:
    """A setting without its wrapping."""
    return value.get_secret_value() if isinstance(value, SecretStr) else value


@pytest.mark.parametrize("variable", names.VARIABLES)
def test_variable_has_its_default(variable: str) -> None:
    settings = load({"RELAY_BLACKBOX_API_KEY": "some-key"})
    value = plain(getattr(settings, variable.removeprefix("RELAY_").lower()))
    if variable != "RELAY_BLACKBOX_API_KEY":
        assert value == names.VARIABLES[variable]


@pytest.mark.parametrize(
    ("variable", "content"),
    [
        ("RELAY_AGENTS", '{"one": {}}'),
        ("RELAY_HTTP_TOOLS", '{"tool": {"url": "https://backend.example/tool"}}'),
        ("RELAY_MCP_SERVERS", '{"server": {"url": "https://backend.example/mcp"}}'),
        ("RELAY_BLACKBOX_API_KEY", "a-secret-of-some-length"),
        ("RELAY_SERVICE_TOKENS", "one-token,another-token"),
        ("RELAY_JWT_SECRET", "a-secret-of-some-length"),
    ],
)
def test_variable_may_come_from_a_file(tmp_path: Path, variable: str, content: str) -> None:
    file = tmp_path / "it"
    file.write_text(content + "\n")
    assert load(TOKEN | {f"{variable}_FILE": str(file)}) == load(TOKEN | {variable: content})
    assert load(TOKEN | {variable: content}) != load(TOKEN)


def test_every_variable_is_in_the_example_with_its_meaning() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    for variable in names.VARIABLES:
        assert re.search(rf"^# .+\n#{variable}=", example, re.MULTILINE), variable


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert set(re.findall(r"^(\w+):", makefile, re.MULTILINE)) >= names.TARGETS


def test_close_codes_are_these_and_no_others() -> None:
    known = {reason.code: (reason.retry.value, reason.retry_after) for reason in CLOSE_REASONS}
    assert known == names.CLOSE_CODES
