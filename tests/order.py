"""In which order several workers take files: the longest first, so that none is last and alone.

A worker runs a file as a whole. If a long file comes last, the others wait for the worker that
has it. Fixtures of a package (its gateways and its browser) are made again when a worker returns
to it: files of these packages come together, before all others.
"""

from __future__ import annotations

from typing import Final

PACKAGES: Final = ("tests/e2e/", "tests/console/")
# Seconds of a worker, of files that take more than some; no need to be exact.
SECONDS: Final = {
    "tests/replicas/test_broken_bridges.py": 90,
    "tests/history/test_real_conversations.py": 76,
    "tests/e2e/test_voice.py": 51,
    "tests/e2e/test_browser_chat.py": 50,
    "tests/cli/test_live_gateway.py": 49,
    "tests/replicas/test_drain.py": 44,
    "tests/e2e/test_queue.py": 41,
    "tests/pages/test_client_lifeline.py": 41,
    "tests/protocol/test_coverage.py": 40,
    "tests/e2e/test_vendor_site.py": 40,
    "tests/pages/test_console.py": 39,
    "tests/replicas/test_redis_outages.py": 37,
    "tests/make/test_lock.py": 37,
    "tests/websocket/test_attacks.py": 37,
    "tests/e2e/test_chat_pages.py": 35,
    "tests/telemetry/test_otel.py": 34,
    "tests/e2e/test_call_problems.py": 34,
    "tests/e2e/test_routing.py": 33,
    "tests/e2e/test_upstream_faults.py": 32,
    "tests/pages/test_widget_start.py": 32,
    "tests/history/test_outages.py": 32,
    "tests/e2e/test_demo.py": 30,
    "tests/websocket/test_slow_peers.py": 30,
    "tests/settings/test_check_connect.py": 30,
    "tests/cluster/test_bridge.py": 29,
    "tests/state/test_concurrency_limit.py": 29,
    "tests/replicas/test_kill.py": 27,
    "tests/replicas/test_usage.py": 25,
    "tests/replicas/test_doctor.py": 24,
    "tests/pages/test_looks.py": 24,
    "tests/stores/test_redis_failover.py": 24,
    "tests/state/test_outage.py": 23,
    "tests/pages/test_client_calls.py": 23,
    "tests/settings/test_check_command.py": 23,
    "tests/replicas/test_takeover.py": 22,
    "tests/websocket/test_request_boundaries.py": 22,
    "tests/deploy/test_smuggling.py": 22,
    "tests/history/test_event_webhooks.py": 21,
    "tests/pages/test_widget_messages.py": 21,
    "tests/e2e/test_tools.py": 21,
    "tests/e2e/test_console.py": 20,
    "tests/console/test_views.py": 19,
    "tests/e2e/test_discover.py": 19,
    "tests/history/test_results.py": 18,
    "tests/replicas/test_sharing.py": 17,
    "tests/pages/test_client_text.py": 17,
    "tests/pages/test_widget_host.py": 17,
    "tests/tools/test_installed.py": 17,
    "tests/e2e/test_web_tokens.py": 16,
    "tests/console/test_takeover.py": 16,
    "tests/tools/test_mcp.py": 16,
    "tests/replicas/test_storm.py": 15,
    "tests/replicas/test_rolling.py": 15,
    "tests/history/test_migrations.py": 15,
    "tests/replicas/test_tenants.py": 15,
    "tests/deploy/test_balancers.py": 15,
    "tests/websocket/test_rfc6455.py": 15,
    "tests/pages/test_client_tools.py": 15,
    "tests/pages/test_client_resume.py": 14,
    "tests/replicas/test_queue.py": 13,
    "tests/history/test_store.py": 13,
    "tests/console/test_sign_in.py": 13,
    "tests/e2e/test_reload.py": 13,
    "tests/replicas/test_chat_pages.py": 13,
    "tests/tools/test_mcp_network.py": 12,
    "tests/pages/test_widget.py": 12,
    "tests/replicas/test_cuts.py": 12,
    "tests/deploy/test_prometheus.py": 11,
    "tests/deploy/test_chart.py": 11,
    "tests/network/test_gateway.py": 11,
    "tests/e2e/test_canary.py": 11,
    "tests/contract/test_running.py": 10,
    "tests/pages/test_client_chat.py": 10,
    "tests/e2e/test_sessions.py": 10,
    "tests/state/test_interface.py": 10,
    "tests/deploy/test_wheel.py": 9,
    "tests/web/test_documents.py": 9,
    "tests/tools/test_mcp_answers.py": 9,
    "tests/state/test_replicas.py": 9,
    "tests/tools/test_digits.py": 9,
}


def rank(file: str) -> tuple[bool, int]:
    """What files are ordered by; those of equal rank stay as they are."""
    return not file.startswith(PACKAGES), -SECONDS.get(file, 0)
