"""The labels of every metric: closed sets, named once."""

from __future__ import annotations

from typing import Final

from app.telemetry.tenants import TENANT_LABELS

# What each metric's labels are called; the collectors below take them from here.
LABELS: Final[dict[str, tuple[str, ...]]] = {
    "relay_sessions": ("agent", "call_type"),
    "relay_sessions_total": ("agent", "call_type", "close_code"),
    "relay_frames_total": ("direction", "type"),
    "relay_frame_bytes_total": ("direction",),
    "relay_latency_seconds": ("direction",),
    "relay_upstream_failures_total": ("kind",),
    "relay_tool_calls_total": ("tool", "outcome"),
    "relay_tool_seconds": ("tool",),
    "relay_refusals_total": ("reason",),
    "relay_routed_sessions_total": ("requested_agent", "agent", "reason"),
    "relay_resumes_total": ("outcome",),
    "relay_upstream_unknown_types_total": ("kind",),
    "relay_upstream_oddities_total": ("kind",),
    "relay_state_errors_total": ("operation",),
    "relay_history_dropped_total": ("kind",),
    "relay_results_total": ("outcome",),
    "relay_config_reloads_total": ("outcome",),
    **TENANT_LABELS,
    "relay_guardrail_total": ("guardrail", "action"),
    "relay_guardrail_errors_total": ("guardrail", "cause"),
    "relay_guardrail_seconds": ("guardrail",),
    "relay_event_deliveries_total": ("outcome",),
    "relay_event_backlog": ("receiver",),
    "relay_control_total": ("action", "outcome"),
    "python_gc_collections_total": ("generation",),
    "python_gc_objects_collected_total": ("generation",),
    "python_gc_objects_uncollectable_total": ("generation",),
    "python_info": ("version", "implementation", "major", "minor", "patchlevel"),
}
