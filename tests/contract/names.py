"""The names that operators, frontends and backends rely on: extended now and then, never renamed.

Written down here once more, on purpose: what is derived from the code cannot hold the code to it.
"""

from __future__ import annotations

from typing import Any, Final

SOCKETS: Final = ("/ws", "/ws/{agent}", "/api/v1/ws/webCall")

PUBLIC: Final = {
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/api/v1/web-integrations/discover"),
    ("GET", "/api/v1/ws/info"),
}
INTERNAL: Final = {
    ("GET", "/metrics"),
    ("POST", "/v1/tickets"),
    ("GET", "/v1/sessions"),
    ("GET", "/v1/sessions/{}"),
    ("DELETE", "/v1/sessions/{}"),
    ("GET", "/v1/sessions/{}/watch"),
    ("GET", "/v1/conversations"),
    ("GET", "/v1/conversations/{}"),
    ("GET", "/v1/conversations/{}/transcript"),
    ("GET", "/v1/conversations/{}/events"),
    ("POST", "/v1/calls"),
    ("POST", "/v1/calls/bulk"),
    ("GET", "/v1/calls/{}"),
    ("DELETE", "/v1/calls/{}"),
    ("POST", "/api/v1/web-integrations/{}/tokens"),
    ("DELETE", "/api/v1/web-integrations/{}/tokens/{}"),
}
PAGES: Final = {
    "/client.js": "text/javascript",
    "/client.d.ts": "",
    "/demo": "text/html",
    "/console": "text/html",
    "/asyncapi.json": "application/json",
    "/openapi.json": "application/json",
}

COMMANDS: Final = {"serve", "check", "doctor", "tools", "emulator", "ticket"}
TARGETS: Final = {"run", "test", "check", "bench"}

KIB, MIB = 1 << 10, 1 << 20
VARIABLES: Final[dict[str, Any]] = {
    "RELAY_BLACKBOX_API_KEY": None,
    "RELAY_BLACKBOX_URL": "wss://blackbox.dasha.ai",
    "RELAY_ALLOW_INSECURE_UPSTREAM": False,
    "RELAY_UPSTREAM": "dev",
    "RELAY_WEB_INTEGRATION_TOKEN": None,
    "RELAY_WEB_INTEGRATION_ID": None,
    "RELAY_AGENTS": {"default": {}},
    "RELAY_HOST": "0.0.0.0",
    "RELAY_PORT": 8000,
    "RELAY_INTERNAL_PORT": None,
    "RELAY_AUTH": ("ticket",),
    "RELAY_ALLOW_OPEN": False,
    "RELAY_SERVICE_TOKENS": (),
    "RELAY_JWT_SECRET": None,
    "RELAY_JWT_PUBLIC_KEY": None,
    "RELAY_JWT_JWKS_URL": None,
    "RELAY_JWT_ALGORITHMS": (),
    "RELAY_JWT_ISSUER": None,
    "RELAY_JWT_AUDIENCE": None,
    "RELAY_FORWARD_AUTH_URL": None,
    "RELAY_ALLOWED_ORIGINS": (),
    "RELAY_TRUSTED_PROXIES": (),
    "RELAY_TOOLS": (),
    "RELAY_HTTP_TOOLS": {},
    "RELAY_WEBHOOK_ALLOWED_HOSTS": (),
    "RELAY_MCP_SERVERS": {},
    "RELAY_TOOL_TIMEOUT": 20,
    "RELAY_TOOL_CONCURRENCY": 8,
    "RELAY_STATE_URL": "memory://",
    "RELAY_HISTORY_URL": None,
    "RELAY_HISTORY_DAYS": 30,
    "RELAY_HISTORY_CONTENT": True,
    "RELAY_RESULT_WEBHOOK_URL": None,
    "RELAY_RESULT_WEBHOOK_SECRET": None,
    "RELAY_RESUME_WINDOW": 30,
    "RELAY_RESUME_BUFFER": MIB,
    "RELAY_MAX_SESSIONS": 5000,
    "RELAY_MAX_SESSIONS_PER_SUBJECT": 5,
    "RELAY_MAX_SESSIONS_PER_IP": 50,
    "RELAY_MAX_FRAME": 64 * KIB,
    "RELAY_MAX_UPSTREAM_FRAME": MIB,
    "RELAY_OUTBOX": MIB,
    "RELAY_FRAMES_PER_SECOND": 20,
    "RELAY_FRAME_BURST": 60,
    "RELAY_HANDSHAKE_TIMEOUT": 5,
    "RELAY_CONNECT_TIMEOUT": 10,
    "RELAY_INITIALIZE_TIMEOUT": 10,
    "RELAY_IDLE_TIMEOUT": 300,
    "RELAY_MAX_SESSION": 3600,
    "RELAY_PING_INTERVAL": 15,
    "RELAY_PING_TIMEOUT": 10,
    "RELAY_DRAIN_DELAY": 5,
    "RELAY_DRAIN_TIMEOUT": 300,
    "RELAY_DEMO": False,
    "RELAY_LOG_LEVEL": "info",
    "RELAY_LOG_FORMAT": "json",
}

# Name and labels. The second kind has no sample before its first event, which no test of names
# brings about.
METRICS: Final[dict[str, set[str]]] = {
    "relay_sessions": {"agent", "call_type"},
    "relay_sessions_total": {"agent", "call_type", "close_code"},
    "relay_session_seconds": set(),
    "relay_frames_total": {"direction", "type"},
    "relay_frame_bytes_total": {"direction"},
    "relay_latency_seconds": {"direction"},
    "relay_upstream_connect_seconds": set(),
    "relay_tool_calls_total": {"tool", "outcome"},
    "relay_tool_seconds": {"tool"},
    "relay_refusals_total": {"reason"},
    "relay_resumes_total": {"outcome"},
    "relay_outbox_bytes": set(),
    "relay_loop_lag_seconds": set(),
    "relay_upstream_unknown_types_total": {"kind"},
}
BORN_LATER: Final = {"relay_state_errors_total"}

# Close code: when to try again, and whether `retryAfter` says so.
CLOSE_CODES: Final = {
    1000: ("no", False),
    1001: ("reconnect", False),
    1007: ("no", False),
    1009: ("no", False),
    1011: ("reconnect", False),
    4400: ("no", False),
    4401: ("no", False),
    4403: ("no", False),
    4404: ("no", False),
    4408: ("reconnect", False),
    4409: ("no", False),
    4410: ("reconnect", False),
    4429: ("reconnect", True),
    4440: ("no", False),
    4502: ("reconnect", False),
    4503: ("reconnect", True),
    4504: ("reconnect", False),
    4508: ("resume", False),
}
