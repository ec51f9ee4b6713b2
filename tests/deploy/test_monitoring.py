"""Alert rules and the dashboard: well-formed, tested, and about metrics that exist."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
import yaml

from app.telemetry.metrics import Metrics
from tests.deploy.queries import QUERIES, Query, names_in
from tests.deploy.tooling import DEPLOY, NPM, binary, npm, passes, run

if TYPE_CHECKING:
    from pathlib import Path

PROMETHEUS = DEPLOY / "prometheus"
DASHBOARD = DEPLOY / "grafana" / "dashboard.json"
RULES = [
    rule
    for group in yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"]
    for rule in group["rules"]
]


def exported() -> set[str]:
    """Every series name that `/metrics` of this version can hold."""
    metrics = Metrics(limit=5000)
    suffixes = {
        "counter": ("_total",),
        "gauge": ("",),
        "histogram": ("_bucket", "_sum", "_count"),
    }
    return {
        f"{family.name}{suffix}"
        for family in metrics.registry.collect()
        for suffix in suffixes[family.type]
    }


def test_promtool_accepts_the_configuration() -> None:
    passes(
        binary("promtool", "prometheus"), "check", "config",
        "--lint=all", "--lint-fatal", PROMETHEUS / "prometheus.yml",
    )  # fmt: skip


def test_alerts_fire_when_they_should_and_only_then() -> None:
    promtool = binary("promtool", "prometheus")
    said = passes(promtool, "test", "rules", "rules_test.yml", cwd=PROMETHEUS)
    assert "SUCCESS" in said


def test_every_alert_is_in_the_rules_tests() -> None:
    tested = (PROMETHEUS / "rules_test.yml").read_text()
    assert len(RULES) >= 12
    assert [rule["alert"] for rule in RULES if f"alertname: {rule['alert']}" not in tested] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alert_says_what_it_means_and_what_to_do(rule: dict[str, dict[str, str]]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert len(rule["annotations"]["summary"].split()) >= 5
    assert len(rule["annotations"]["runbook"].split()) >= 12


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.where)
def test_every_metric_that_is_asked_for_is_exported(query: Query) -> None:
    assert names_in(query.expression)
    assert names_in(query.expression) - {"up"} - exported() == set()


def test_every_metric_of_the_contract_is_on_the_dashboard() -> None:
    shown = {name for q in QUERIES if q.panel for name in names_in(q.expression)}
    stems = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}
    contract = {
        "relay_sessions", "relay_sessions_total", "relay_session_seconds", "relay_frames_total",
        "relay_frame_bytes_total", "relay_latency_seconds", "relay_upstream_connect_seconds",
        "relay_tool_calls_total", "relay_tool_seconds", "relay_refusals_total",
        "relay_resumes_total", "relay_outbox_bytes", "relay_loop_lag_seconds",
        "relay_upstream_unknown_types_total", "relay_state_errors_total",
    }  # fmt: skip
    assert contract - stems == set()


def test_dashboard_fits_grafanas_own_types(tmp_path: Path) -> None:
    """The panels' options are typed apart: Grafana's Dashboard leaves them open."""
    board = json.loads(DASHBOARD.read_text())
    kinds = {"stat": "Stat", "timeseries": "Time"}
    panelcfg = "@grafana/schema/dist/esm/raw/composable/{}/panelcfg/x/{}PanelCfg_types.gen.js"
    stat, time = panelcfg.format("stat", "Stat"), panelcfg.format("timeseries", "TimeSeries")
    lines = [
        "import type { Dashboard, Panel, RowPanel } from '@grafana/schema';",
        f"import type {{ Options as Stat }} from '{stat}';",
        f"import type {{ Options as Time, FieldConfig as TimeField }} from '{time}';",
        # In JSON an enum's member is its text.
        "type Json<T> = T extends string ? `${T}` : T extends object ? Members<T> : T;",
        "type Members<T> = { [K in keyof T]: Json<T[K]> };",
        f"export const board: Json<Dashboard> = {json.dumps(board)};",
    ]
    for panel in board["panels"]:
        if panel["type"] == "row":
            lines.append(f"export const p{panel['id']}: Json<RowPanel> = {json.dumps(panel)};")
            continue
        lines.append(f"export const p{panel['id']}: Json<Panel> = {json.dumps(panel)};")
        kind = kinds[panel["type"]]
        lines.append(f"export const o{panel['id']}: Json<{kind}> = {json.dumps(panel['options'])};")
        if kind == "Time":
            custom = json.dumps(panel["fieldConfig"]["defaults"]["custom"])
            lines.append(f"export const c{panel['id']}: Json<TimeField> = {custom};")
    tsc = npm("tsc")
    (tmp_path / "node_modules").symlink_to(NPM / "node_modules")
    (tmp_path / "board.ts").write_text("\n".join(lines))
    passes(
        tsc, "--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--target",
        "es2022", "board.ts", cwd=tmp_path,
    )  # fmt: skip
    (tmp_path / "wrong.ts").write_text("\n".join(lines).replace('"multi"', '"many"'))
    wrong = run(
        tsc, "--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--target",
        "es2022", "wrong.ts", cwd=tmp_path,
    )  # fmt: skip
    assert wrong.returncode != 0, "the types do not see a wrong option"


def test_panels_do_not_overlap_and_are_told_apart() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["type"] == "row" or panel["description"]


def test_grafana_is_provisioned_with_the_dashboards_data_source() -> None:
    provisioning = DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())[
        "datasources"
    ]
    (variable, *_) = json.loads(DASHBOARD.read_text())["templating"]["list"]
    assert (source["type"], variable["type"]) == (variable["query"], "datasource")
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "relay.yaml").read_text())[
        "providers"
    ]
    mounts = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["grafana"]["volumes"]
    assert any(mount.split(":")[1].startswith(provider["options"]["path"]) for mount in mounts)
