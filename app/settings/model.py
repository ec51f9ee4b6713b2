"""Every variable, its type, its default and its one line of meaning."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, ByteSize, Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from app.protocol.principal import CallType  # noqa: TC001 - pydantic reads it at runtime
from app.settings.agents import AgentSettings
from app.settings.field_types import (
    Bound,
    Count,
    Items,
    Mapped,
    Port,
    Positive,
    Rules,
    Seconds,
    Secrets,
    Size,
    Upstream,
    mapping,
)
from app.settings.lists import Listed, secrets_of
from app.settings.tenants import TenantSettings, read_tenants

PREFIX: Final = "RELAY_"


def _about(text: str, default: Any = None, **more: Any) -> Any:
    """A variable with its default and its one line of meaning."""
    return Field(default=default, description=text, **more)


class Settings(BaseSettings):
    """Every `RELAY_*` variable. Durations are seconds, sizes bytes (or `64KiB`, `1MiB`)."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        populate_by_name=True,
    )

    blackbox_api_key: SecretStr | None = _about(
        "The account's key. Never leaves the process but in the upstream handshake"
    )
    blackbox_url: str = _about("Where the vendor answers", "wss://blackbox.dasha.ai")
    allow_insecure_upstream: bool = _about("Allow `ws://` to other hosts than loopback", False)
    upstream: Upstream = _about(
        "`dev` (API key) or `webcall` (a web integration's token) as the vendor's endpoint", "dev"
    )
    web_integration_token: SecretStr | None = _about("For `webcall`: a token that is given")
    web_integration_id: str | None = _about(
        "For `webcall`: mint tokens by REST for this integration, with the API key"
    )
    upstream_concurrency: Bound = _about(
        "Live upstream sessions of all replicas together: a number, or `auto` as the vendor's "
        "`misc/concurrency` says; default: no bound"
    )
    queue: Annotated[int, Field(ge=0, le=100_000)] = _about(
        "How many browsers of all replicas wait where that bound is reached; 0: none, they are "
        "told to come back",
        0,
    )
    proxy: SecretStr | None = _about(
        "The proxy on the way out, `http://[user:password@]host:port`, or `none`; default: as "
        "`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say"
    )
    upstream_probe_interval: Seconds = _about(
        "How often the vendor's `ws/info` is looked at, for `/readyz` and a metric; 0: never", 0.0
    )
    agents: Mapped = _about(
        "JSON or YAML: agent's name to profile", {"default": {}}, validate_default=False, repr=False
    )
    tenants: Mapped = _about(
        "JSON or YAML: tenant's name to its tokens, agents, bounds and budgets, see Tenants",
        {},
        validate_default=False,
        repr=False,
    )
    budget_grace: Seconds = _about(
        "How long live sessions go on when their tenant's budget is used up", 60.0
    )
    usage_prices: Annotated[
        dict[CallType, Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]],
        NoDecode,
        BeforeValidator(mapping),
    ] = _about("JSON: call type to the price of a minute, for `cost` in usage", {})
    host: str = _about("Where browsers come in", "0.0.0.0")  # noqa: S104 - a container's default
    port: Port = _about("Its port", 8000)
    workers: Annotated[int, Field(ge=1, le=256)] = _about(
        "Processes that share the port, one for each core; each is a replica, see Workers", 1
    )
    internal_port: Port | None = _about("If set, `/metrics` and `/v1/*` answer there only")
    auth: Items = _about("Comma list of `ticket`, `jwt`, `forward`, `open`", ("ticket",))
    allow_open: bool = _about("Let `open` stand beside a real API key", False)
    service_tokens: Secrets = _about("Comma list of backends' bearers for `/v1/*`", ())
    content_tokens: Secrets = _about(
        "Those service tokens that may see what was said, in the console and `watch`", ()
    )
    jwt_secret: SecretStr | None = _about("`jwt`: the shared secret")
    jwt_public_key: SecretStr | None = _about("`jwt`: a public key in PEM")
    jwt_jwks_url: str | None = _about("`jwt`: where keys are published")
    jwt_algorithms: Items = _about(
        "`jwt`: accepted algorithms; default HS256 with a secret, RS256 and ES256 with keys", ()
    )
    jwt_issuer: str | None = _about("`jwt`: required `iss`")
    jwt_audience: str | None = _about("`jwt`: required `aud`")
    forward_auth_url: str | None = _about("`forward`: who is asked with the browser's cookies")
    forward_auth_header: Items = _about(
        "`forward`: headers of the answer that name the user, as `X-Auth-Request-User`, where its "
        "body is no JSON object with `sub`",
        (),
    )
    allowed_origins: Items = _about(
        "Comma list of origins; `https://*.example.com` and `*` allowed; empty: same host", ()
    )
    trusted_proxies: Items = _about("CIDRs whose `X-Forwarded-*` are believed", ())
    tools: Items = _about(
        "Comma list of import paths and files (`./tools.py`) with `@tool` functions to register",
        (),
    )
    http_tools: Mapped = _about(
        "JSON: tool's name to `{url, …}`", {}, validate_default=False, repr=False
    )
    webhook_allowed_hosts: Items = _about(
        "Hosts and CIDRs that webhooks may reach although they are private or loopback", ()
    )
    mcp_servers: Mapped = _about(
        "JSON: MCP server's name to `{url}` or `{command}`", {}, repr=False
    )
    tool_timeout: Positive = _about("How long a tool may take", 20.0)
    tool_concurrency: Count = _about("How many tools of one session run at once", 8)
    state_url: SecretStr = _about(
        "`memory://`; for many replicas `redis://…`, `redis+sentinel://host:port,…/service` or "
        "`redis+cluster://host:port,…`",
        SecretStr("memory://"),
    )
    history_url: SecretStr | None = _about(
        "`sqlite+aiosqlite:///…` or `postgresql+asyncpg://…`: transcripts, events, results"
    )
    history_days: Annotated[float, Field(gt=0, le=36_500)] = _about("How long history stays", 30.0)
    history_content: bool = _about("Whether what was said is stored", True)
    result_webhook_url: str | None = _about("POST of each conversation's result")
    result_webhook_secret: SecretStr | None = _about("Signs it, by Standard Webhooks")
    guardrails: Listed = _about(
        "JSON or YAML list of `{name, on, url or python, …}`: what judges texts, and tools' data",
        [],
        validate_default=False,
        repr=False,
    )
    redact: Rules = _about(
        "Comma list of `card`, `iban`, `email`, `phone`, `secret`, `/pattern/`: masked in what is "
        "kept and shown, never in what is relayed",
        (),
    )
    audit_days: Annotated[float, Field(gt=0, le=36_500)] = _about(
        "How long the audit log stays in the history database", 365.0
    )
    console_oidc_issuer: str | None = _about(
        "OpenID Connect provider by whom operators sign in at `/console`; default: a service token"
    )
    console_oidc_client_id: str | None = _about("This gateway's client id there")
    console_oidc_client_secret: SecretStr | None = _about(
        "Its secret; without one it is a public client"
    )
    console_oidc_scopes: Items = _about(
        "Comma list of scopes to ask for", ("openid", "profile", "email")
    )
    console_oidc_roles_claim: str = _about(
        "The claim with roles or groups; a path with dots, as `realm_access.roles`, is followed",
        "roles",
    )
    console_oidc_roles: Mapped = _about(
        "JSON: the claim's value to `viewer`, `operator` or `admin`; default: these names", {}
    )
    console_content: Literal["viewer", "operator", "admin"] = _about(
        "The least role that may see what was said", "operator"
    )
    console_session: Positive = _about("How long a sign-in at the console lasts", 28_800.0)
    console_url: str | None = _about(
        "Where browsers find the console, as `https://relay.example.com/console`; default: as the "
        "request says"
    )
    event_webhooks: Listed = _about(
        "JSON: list of `{url, secret, events?, tenant?, name?}` to post lifecycle events to; "
        'several secrets sign at once; `events` is a list of types or `"*"`',
        [],
        validate_default=False,
        repr=False,
    )
    resume_window: Seconds = _about("How long a browser may be gone; 0 turns resume off", 30.0)
    resume_buffer: Size = _about("How much is kept for it unconfirmed", ByteSize(1 << 20))
    chat_keep: Seconds = _about(
        "How long a chat stays open with no page there, and may be joined by `?session=`; 0: off",
        0.0,
    )
    takeover_lease: Positive = _about(
        "How long an operator who has taken a chat over may be silent, before it is handed back",
        30.0,
    )
    chat_pages: Count = _about("How many pages a chat may have at once", 5)
    chat_history: Size = _about(
        "How much text of a chat is kept in memory for pages that join it", ByteSize(64 << 10)
    )
    max_sessions: Count = _about("Live sessions of this replica", 5000)
    max_sessions_per_subject: Count = _about("Live sessions of one subject", 5)
    max_sessions_per_ip: Count = _about("Live sessions of one address", 50)
    max_frame: Size = _about("The largest frame from a browser", ByteSize(64 << 10))
    max_upstream_frame: Size = _about("The largest frame from upstream", ByteSize(1 << 20))
    outbox: Size = _about("What may wait for one slow reader", ByteSize(1 << 20))
    frames_per_second: Annotated[float, Field(gt=0, le=1e6)] = _about(
        "Frames a second from one browser", 20.0
    )
    frame_burst: Count = _about("Frames at once from one browser", 60)
    handshake_timeout: Positive = _about("For a request to arrive", 5.0)
    connect_timeout: Positive = _about("For dialling upstream", 10.0)
    initialize_timeout: Positive = _about(
        "For a vendor-style browser's `initialize`, and for upstream's first frame", 10.0
    )
    idle_timeout: Positive = _about("Silence on both sides before a session ends", 300.0)
    call_timeout: Positive = _about(
        "For a page to answer a call's `sdpInvite`: without a microphone it never does", 60.0
    )
    max_session: Positive = _about(
        "The longest session; the vendor's transfers last up to 7200", 7200.0
    )
    ping_interval: Positive = _about("Between pings on both legs", 15.0)
    ping_timeout: Positive = _about("For the answer to a ping", 10.0)
    drain_delay: Seconds = _about("After SIGTERM: keep taking sessions that long", 5.0)
    drain_timeout: Seconds = _about("Then let live sessions end that long", 300.0)
    demo: bool = _about("Serve the demo page", False)
    log_level: Literal["debug", "info", "warning", "error"] = _about("How much is logged", "info")
    log_format: Literal["json", "console"] = _about("`console` is for people", "json")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what `load` hands over, alone: a value it has found wrong must not come back."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every secret of this configuration, for redaction."""
        found: list[str] = []
        for name in type(self).model_fields:
            value = getattr(self, name)
            values = value if isinstance(value, tuple) else (value,)
            found += [item.get_secret_value() for item in values if isinstance(item, SecretStr)]
        for agent in self.agent_settings.values():
            for secret in (agent.blackbox_api_key, agent.web_integration_token):
                if secret is not None:
                    found.append(secret.get_secret_value())
        for tool in (*self.http_tools.values(), *self.mcp_servers.values(), *self.guardrails):
            if isinstance(tool, dict):
                found += [str(tool["secret"])] if tool.get("secret") else []
                for carried in (tool.get("headers"), tool.get("env")):
                    found += map(str, carried.values()) if isinstance(carried, dict) else []
        for tenant in self.tenant_settings.values():
            found += tenant.secrets
        found += secrets_of(self.event_webhooks)
        plain = {"memory://", "none"}
        return tuple(secret for secret in found if len(secret) >= 4 and secret not in plain)  # noqa: PLR2004

    @property
    def agent_settings(self) -> dict[str, AgentSettings]:
        """The agents' profiles. Raises pydantic's ValidationError; `load` has checked them."""
        return {
            name: AgentSettings.model_validate(profile or {})
            for name, profile in self.agents.items()
        }

    @property
    def tenant_settings(self) -> dict[str, TenantSettings]:
        """The tenants that can be read; `load` has reported every other one."""
        return read_tenants(self.tenants)[0]


def said(message: str) -> str:
    """A validator's sentence without its own beginning, and without a part of the value."""
    return re.sub(r"^(Value error, |Input )|(?<=byte unit): .*", "", message, flags=re.DOTALL)
