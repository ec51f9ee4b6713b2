"""An environment becomes settings, or a list of everything that is wrong with it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from app.history.database import Database
from app.protocol.errors import ConfigurationError
from app.settings import Settings, load

if TYPE_CHECKING:
    from pathlib import Path

KEY = "canary-api-key-77aa"
GOOD = {"RELAY_BLACKBOX_API_KEY": KEY}


def faults(given: dict[str, str], dotenv: Path | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as wrong:
        load(given, dotenv)
    return wrong.value.faults


def test_api_key_alone_is_enough() -> None:
    settings = load(GOOD)
    assert settings.blackbox_url == "wss://blackbox.dasha.ai"
    assert (settings.host, settings.port) == ("0.0.0.0", 8000)
    assert settings.auth == ("ticket",)
    assert list(settings.agents) == ["default"]
    assert (settings.resume_window, settings.resume_buffer) == (30, 1 << 20)
    assert (settings.max_frame, settings.max_upstream_frame) == (64 << 10, 1 << 20)
    assert (settings.frames_per_second, settings.frame_burst) == (20, 60)
    assert (settings.drain_delay, settings.drain_timeout) == (5, 300)


def test_every_fault_is_told_at_once() -> None:
    told = faults(
        {
            "RELAY_PORT": "banana",
            "RELAY_AGENT": "{}",
            "RELAY_AUTH": "tickets",
            "RELAY_BLACKBOX_URL": "ws://vendor.example",
            "RELAY_IDLE_TIMEOUT": "-3",
            "RELAY_AGENTS": "{a: {call_types: [fax]}}",
            "RELAY_TRUSTED_PROXIES": "10.0.0.0/99",
            "RELAY_JWT_SECRET_FILE": "/nowhere/at/all",
        }
    )
    named = {fault.split()[0].rstrip(":") for fault in told}
    assert named == {
        "RELAY_PORT",
        "RELAY_AGENT",
        "RELAY_AUTH",
        "RELAY_IDLE_TIMEOUT",
        "RELAY_AGENTS",
        "RELAY_TRUSTED_PROXIES",
        "RELAY_JWT_SECRET_FILE",
    }
    assert len(told) == len(set(told))


def test_a_fault_is_told_once_however_many_agents_share_it() -> None:
    told = faults({"RELAY_AGENTS": "{a: {}, b: {}, c: {}}"})
    assert told == ("RELAY_BLACKBOX_API_KEY is missing",)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RELAY_PORT", "canary"),
        ("RELAY_PORT", "70000"),
        ("RELAY_OUTBOX", "12canary"),
        ("RELAY_OUTBOX", "1"),
        ("RELAY_LOG_LEVEL", "canary"),
        ("RELAY_DEMO", "canary"),
        ("RELAY_UPSTREAM", "canary"),
        ("RELAY_IDLE_TIMEOUT", "nan"),
        ("RELAY_IDLE_TIMEOUT", "inf"),
        ("RELAY_IDLE_TIMEOUT", "0"),
        ("RELAY_MAX_SESSIONS", "0"),
        ("RELAY_AGENTS", "[canary]"),
        ("RELAY_AGENTS", "{canary: ["),
        ("RELAY_AGENTS", "canary"),
        ("RELAY_AGENTS", "{}"),
        ("RELAY_AGENTS", '{"a": {"upstream": "canary"}}'),
        ("RELAY_AGENTS", '{"a b": {}}'),
        ("RELAY_AGENTS", '{"a": {"canary_key": 1}}'),
        ("RELAY_AGENTS", '{"a": {"phone_numbers": ["("]}}'),
        ("RELAY_AGENTS", '{"a": {"initialize": {"additionalData": "canary"}}}'),
        ("RELAY_AGENTS", '{"a": {"call_types": ["chat"], "default_call_type": "onPhone"}}'),
        ("RELAY_AGENTS", '{"a": {"blackbox_url": "ws://canary.example"}}'),
        ("RELAY_BLACKBOX_URL", "https://canary.example"),
        ("RELAY_BLACKBOX_URL", "wss://canary.example?authorization=canary"),
        ("RELAY_BLACKBOX_URL", "wss://canary.example:canary"),
        ("RELAY_BLACKBOX_URL", "wss://[canary"),
        ("RELAY_STATE_URL", "http://canary"),
        ("RELAY_ALLOWED_ORIGINS", "canary.example"),
        ("RELAY_TRUSTED_PROXIES", "canary"),
        ("RELAY_AUTH", ","),
        ("RELAY_AUTH", "jwt"),
        ("RELAY_AUTH", "forward"),
        ("RELAY_AUTH", "open"),
        ("RELAY_RESULT_WEBHOOK_URL", "https://canary.example"),
        ("RELAY_RESULT_WEBHOOK_SECRET", "canary"),
        ("RELAY_CONTENT_TOKENS", "canary"),
        ("RELAY_OUTBOX", "64KiB"),
        ("RELAY_PING_TIMEOUT", "400"),
        ("RELAY_HISTORY_URL", "postgres://user:canary@host/name"),
        ("RELAY_HISTORY_URL", "postgresql://user:canary@host/name"),
        ("RELAY_HISTORY_URL", "sqlite:///canary.db"),
        ("RELAY_HISTORY_URL", "sqlite+aiosqlite://"),
        ("RELAY_HISTORY_URL", "sqlite+aiosqlite:///"),
        ("RELAY_HISTORY_URL", "sqlite+aiosqlite:///:memory:"),
        ("RELAY_HISTORY_URL", "sqlite+aiosqlite://canary.db"),
        ("RELAY_HISTORY_URL", "canary"),
    ],
)
def test_a_fault_names_its_variable_and_never_the_value(name: str, value: str) -> None:
    told = faults({**GOOD, name: value})
    assert any(name in fault for fault in told), told
    shown = " ".join(told).replace("canary_key", "")
    assert "canary" not in shown
    assert all("\n" not in fault for fault in told)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite+aiosqlite:///history.db",
        "sqlite+aiosqlite:////var/lib/relay/history.db",
        "postgresql+asyncpg://user:p%40ss@host:5432/name",
        "postgresql+asyncpg://user:pa/ss@host/name",
        "postgresql+asyncpg://user@/name?host=/run/postgresql",
    ],
)
def test_history_may_be_in_either_database(url: str) -> None:
    settings = load({**GOOD, "RELAY_HISTORY_URL": url})
    assert settings.history_url is not None
    Database(settings.history_url)


def test_unknown_variable_gets_a_did_you_mean() -> None:
    told = faults({**GOOD, "RELAY_ALOWED_ORIGINS": "x", "RELAY_ZZZZZZZZZZZZZZ": "x"})
    assert told == (
        "RELAY_ALOWED_ORIGINS is unknown; did you mean RELAY_ALLOWED_ORIGINS?",
        "RELAY_ZZZZZZZZZZZZZZ is unknown",
    )


def test_empty_variable_counts_as_absent() -> None:
    assert load({**GOOD, "RELAY_PORT": "", "RELAY_NO_SUCH_THING": ""}).port == 8000


def test_what_is_given_counts_and_the_process_environment_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RELAY_PORT", "9999")
    assert load(GOOD).port == 8000
    monkeypatch.setenv("RELAY_PORT", "banana")
    assert load(GOOD).port == 8000


def test_process_environment_is_read_when_nothing_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_BLACKBOX_API_KEY", KEY)
    monkeypatch.setenv("RELAY_PORT", "9999")
    assert load().port == 9999


def test_any_secret_can_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY + "\n")
    (tmp_path / "tokens").write_text("one-token, two-token\n")
    settings = load(
        {
            "RELAY_BLACKBOX_API_KEY_FILE": str(tmp_path / "key"),
            "RELAY_SERVICE_TOKENS_FILE": str(tmp_path / "tokens"),
        }
    )
    assert settings.blackbox_api_key is not None
    assert settings.blackbox_api_key.get_secret_value() == KEY
    assert [t.get_secret_value() for t in settings.service_tokens] == ["one-token", "two-token"]


@pytest.mark.parametrize("text", ['{"a": {"tools": []}}', "a:\n  tools: []\n"])
def test_agents_file_is_json_or_yaml(tmp_path: Path, text: str) -> None:
    (tmp_path / "agents").write_text(text)
    settings = load({**GOOD, "RELAY_AGENTS_FILE": str(tmp_path / "agents")})
    assert settings.agent_settings["a"].tools == frozenset()


def test_a_variable_and_its_file_are_a_contradiction(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("other")
    told = faults({**GOOD, "RELAY_BLACKBOX_API_KEY_FILE": str(tmp_path / "key")})
    assert told == (
        "RELAY_BLACKBOX_API_KEY_FILE and RELAY_BLACKBOX_API_KEY are both set; keep one",
    )


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "is empty"), (b" \n", "is empty"), (b"\xff", "cannot be read")]
)
def test_unusable_file_is_a_fault(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "secret").write_bytes(content)
    (told,) = faults({**GOOD, "RELAY_JWT_SECRET_FILE": str(tmp_path / "secret")})
    assert told.startswith("RELAY_JWT_SECRET_FILE: ")
    assert said in told


@pytest.mark.parametrize("around", ["\ufeff{}\r\n", "{}\n\n", " {}\t\r", "\ufeff {} \ufeff\n"])
def test_what_editors_leave_around_a_secret_is_no_part_of_it(tmp_path: Path, around: str) -> None:
    (tmp_path / "key").write_bytes(around.format(KEY).encode())
    (tmp_path / "tokens").write_bytes(around.format("one-token,\r\n two-token").encode())
    files = {
        "RELAY_BLACKBOX_API_KEY_FILE": str(tmp_path / "key"),
        "RELAY_SERVICE_TOKENS_FILE": str(tmp_path / "tokens"),
    }
    plain = {"RELAY_BLACKBOX_API_KEY": around.format(KEY), "RELAY_PORT": around.format(4321)}
    for given in (files, plain):
        settings = load(given)
        assert settings.blackbox_api_key is not None
        assert settings.blackbox_api_key.get_secret_value() == KEY
    assert settings.port == 4321
    assert [token.get_secret_value() for token in load(files).service_tokens] == [
        "one-token",
        "two-token",
    ]


def test_dotenv_with_a_byte_order_mark_and_carriage_returns_is_read(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_bytes(f"\ufeffRELAY_BLACKBOX_API_KEY={KEY}\r\nRELAY_PORT=1234\r\n".encode())
    settings = load({}, dotenv)
    assert settings.blackbox_api_key is not None
    assert settings.blackbox_api_key.get_secret_value() == KEY
    assert settings.port == 1234


UNFIT = {
    "NUL at the end": "canary\0",
    "carriage return": "canary\rkey",
    "two lines": "canary\nkey",
    "blank": "canary key",
    "byte order mark": "canary\ufeffkey",
    "zero width space": "canary\u200bkey",
    "no-break space": "canary\xa0key",
    "umlaut": "canarÿ",
    "typographic dash": "canary\u2013key",
}


@pytest.mark.parametrize("text", UNFIT.values(), ids=UNFIT)
@pytest.mark.parametrize(
    "name",
    [
        "RELAY_BLACKBOX_API_KEY",
        "RELAY_WEB_INTEGRATION_TOKEN",
        "RELAY_SERVICE_TOKENS",
        "RELAY_CONTENT_TOKENS",
        "RELAY_RESULT_WEBHOOK_SECRET",
    ],
)
def test_a_key_that_no_header_can_carry_is_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "secret").write_bytes(text.encode())
    others = {key: value for key, value in GOOD.items() if key != name}
    for given in ({name: text}, {f"{name}_FILE": str(tmp_path / "secret")}):
        told = [fault for fault in faults(others | given) if fault.startswith(f"{name}: ")]
        assert len(told) == 1
        assert "U+" in told[0]
        assert "canar" not in told[0]


def test_keys_within_profiles_and_tools_are_held_to_the_same(tmp_path: Path) -> None:
    agents = {"a": {"blackbox_api_key": "canary\0"}, "b": {"web_integration_token": "canarÿ"}}
    (tmp_path / "agents").write_text("\ufeff" + json.dumps(agents), encoding="utf-8")
    url, cut = "https://tools.example.com", {"Authorization": "Bearer canary\r\nX: y"}
    tools = {"t": {"url": url, "secret": "canary\u200b"}, "u": {"url": url, "headers": cut}}
    servers = {"m": {"url": url, "headers": cut | {"X-Fine": "Bearer of news"}}}
    told = faults(
        {
            **GOOD,
            "RELAY_AGENTS_FILE": str(tmp_path / "agents"),
            "RELAY_HTTP_TOOLS": json.dumps(tools),
            "RELAY_MCP_SERVERS": json.dumps(servers),
        }
    )
    assert [fault.rsplit(":", 1)[0] for fault in told] == [
        "RELAY_AGENTS: a.blackbox_api_key",
        "RELAY_AGENTS: b.web_integration_token",
        "RELAY_HTTP_TOOLS: t.secret",
        "RELAY_HTTP_TOOLS: u.headers.Authorization",
        "RELAY_MCP_SERVERS: m.headers.Authorization",
    ]
    assert "canar" not in str(told)


def test_a_shared_secret_may_be_any_text_that_can_be_seen() -> None:
    given = {**GOOD, "RELAY_AUTH": "jwt", "RELAY_JWT_SECRET": "übung macht den meister, sagt man"}
    assert load(given).jwt_secret is not None
    for unseen in ("\0", "\r", "\u200b", "\ufeff"):
        (told,) = faults({**given, "RELAY_JWT_SECRET": f"canary{unseen}secret"})
        assert told.startswith("RELAY_JWT_SECRET: character 7 is U+")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RELAY_PORT", "tcp://10.0.0.1:8000"),
        ("RELAY_INTERNAL_PORT", "udp://10.0.0.1:9000"),
        ("RELAY_SERVICE_HOST", "10.0.0.1"),
        ("RELAY_SERVICE_PORT", "8000"),
        ("RELAY_SERVICE_PORT_HTTP", "8000"),
        ("RELAY_PORT_8000_TCP", "tcp://10.0.0.1:8000"),
        ("RELAY_PORT_8000_TCP_ADDR", "10.0.0.1"),
        ("RELAY_CANARY_SERVICE_HOST", "10.0.0.1"),
        ("RELAY_CANARY_PORT", "tcp://10.0.0.1:8000"),
        ("RELAY_CANARY_PORT_53_UDP_PROTO", "udp"),
    ],
)
def test_service_links_of_an_orchestrator_are_told_as_such(name: str, value: str) -> None:
    (told,) = faults({**GOOD, name: value})
    assert told.startswith(name)
    assert "enableServiceLinks: false" in told
    assert "did you mean" not in told


def test_a_mistaken_port_is_no_service_link() -> None:
    (told,) = faults({**GOOD, "RELAY_PORT": "eighty"})
    assert "enableServiceLinks" not in told


def test_environment_wins_over_dotenv(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text(f"# ours\nRELAY_BLACKBOX_API_KEY='{KEY}'\nRELAY_PORT=1234\nRELAY_HOST=::1\n")
    settings = load({"RELAY_PORT": "4321"}, dotenv)
    assert (settings.port, settings.host) == (4321, "::1")
    assert settings.blackbox_api_key is not None


def test_dotenv_is_held_to_the_same_rules(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("RELAY_PROT=1\nOTHER=fine\n")
    assert "RELAY_PROT is unknown; did you mean RELAY_PORT?" in faults(GOOD, dotenv)


def test_unreadable_dotenv_is_a_fault(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_bytes(b"RELAY_PORT=\xff\xfe\n")
    assert faults(GOOD, dotenv) == (".env: the file cannot be read (UnicodeDecodeError)",)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.9.9.9"])
def test_unencrypted_upstream_is_fine_on_loopback(host: str) -> None:
    assert load({**GOOD, "RELAY_BLACKBOX_URL": f"ws://{host}:9"}).blackbox_url.startswith("ws:")


@pytest.mark.parametrize("host", ["vendor.example", "10.0.0.1", "localhost.evil.example"])
def test_unencrypted_upstream_elsewhere_must_be_allowed(host: str) -> None:
    given = {**GOOD, "RELAY_BLACKBOX_URL": f"ws://{host}"}
    (told,) = faults(given)
    assert "RELAY_ALLOW_INSECURE_UPSTREAM" in told
    assert load({**given, "RELAY_ALLOW_INSECURE_UPSTREAM": "true"}).allow_insecure_upstream


def test_open_beside_a_real_key_must_be_meant() -> None:
    (told,) = faults({**GOOD, "RELAY_AUTH": "ticket,open"})
    assert "RELAY_ALLOW_OPEN" in told
    assert load({**GOOD, "RELAY_AUTH": "open", "RELAY_ALLOW_OPEN": "true"}).auth == ("open",)


def test_open_is_fine_before_an_upstream_on_this_machine() -> None:
    variables = {**GOOD, "RELAY_AUTH": "open", "RELAY_BLACKBOX_URL": "ws://127.0.0.1:9"}
    assert load(variables).auth == ("open",)


def test_open_is_refused_when_one_agent_reaches_out() -> None:
    (told,) = faults(
        {
            **GOOD,
            "RELAY_AUTH": "open",
            "RELAY_BLACKBOX_URL": "ws://127.0.0.1:9",
            "RELAY_AGENTS": '{"near": {}, "far": {"blackbox_url": "wss://vendor.example"}}',
        }
    )
    assert "RELAY_ALLOW_OPEN" in told


@pytest.mark.parametrize(
    "more",
    [
        {"RELAY_WEB_INTEGRATION_TOKEN": "tok-1234"},
        {"RELAY_WEB_INTEGRATION_ID": "wi-1", "RELAY_BLACKBOX_API_KEY": KEY},
    ],
)
def test_webcall_needs_a_token_or_the_means_to_mint_one(more: dict[str, str]) -> None:
    assert load({"RELAY_UPSTREAM": "webcall", **more}).upstream == "webcall"
    (told,) = faults({"RELAY_UPSTREAM": "webcall"})
    assert "RELAY_WEB_INTEGRATION_TOKEN" in told


def test_sizes_may_have_units() -> None:
    assert load({**GOOD, "RELAY_RESUME_BUFFER": "2MiB"}).resume_buffer == 2 << 20


def test_settings_show_no_secret_and_do_not_change() -> None:
    settings = load({**GOOD, "RELAY_SERVICE_TOKENS": "canary-token-1"})
    assert "canary" not in repr(settings)
    assert "canary" not in str(settings)
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1  # type: ignore[misc]


def test_secrets_are_found_wherever_they_were_written() -> None:
    settings = load(
        {
            **GOOD,
            "RELAY_SERVICE_TOKENS": "canary-service",
            "RELAY_STATE_URL": "redis://:canary-redis@127.0.0.1/0",
            "RELAY_AGENTS": '{"a": {"blackbox_api_key": "canary-agent"},'
            ' "b": {"web_integration_token": "canary-web"}}',
            "RELAY_HTTP_TOOLS": '{"t": {"url": "https://x.example", "secret": "canary-http",'
            ' "headers": {"X-Key": "canary-header"}}}',
            "RELAY_MCP_SERVERS": '{"m": {"command": "x", "env": {"K": "canary-mcp-env"}},'
            ' "n": {"url": "https://x.example", "headers": {"X-Key": "canary-mcp-header"}}}',
        }
    )
    found = " ".join(settings.secrets)
    for canary in ("service", "redis", "agent", "web", "http", "header", "mcp-env", "mcp-header"):
        assert f"canary-{canary}" in found
    assert KEY in settings.secrets


def test_every_variable_has_a_line_of_meaning() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_rules_of_redaction_may_hold_commas() -> None:
    settings = load(GOOD | {"RELAY_REDACT": r"card, /\d{2,4}/ ,email"})
    assert settings.redact == ("card", r"/\d{2,4}/", "email")


def test_a_rule_of_redaction_that_is_none_is_told_by_its_position() -> None:
    told = faults(GOOD | {"RELAY_REDACT": r"card,cards,/(?=x)/"})
    assert [fault.partition(" is ")[0] for fault in told] == [
        "RELAY_REDACT item 2",
        "RELAY_REDACT item 3",
    ]
