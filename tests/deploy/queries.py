"""Every PromQL query of deploy/: the alerts' and the panels'."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import yaml

from tests.deploy.tooling import DEPLOY

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = re.compile(r"\b(?:(?:relay|process|python)_\w+|up)\b(?=\s*[\[{)=<>/]|\s|$)")
# What Grafana fills in; the test's Prometheus scrapes every second.
FILLED: Final = {"$__rate_interval": "20s", "$instance": ".*", "$agent": ".*"}


@dataclass(frozen=True, slots=True)
class Query:
    """One expression as it stands, and where."""

    where: str
    expression: str
    panel: bool

    @property
    def filled(self) -> str:
        """The expression as Prometheus gets it."""
        text = self.expression
        for variable, value in FILLED.items():
            text = text.replace(variable, value)
        return text


def names_in(expression: str) -> set[str]:
    """Return the metrics that an expression names."""
    return set(NAME.findall(re.sub(r'"[^"]*"', '""', expression)))


def _queries() -> Iterator[Query]:
    rules = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            yield Query(rule["alert"], rule["expr"], panel=False)
    board = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            yield Query(f"{panel['title']} {target['refId']}", target["expr"], panel=True)
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            asked = re.fullmatch(r"label_values\((\w+), \w+\)", variable["query"]["query"])
            assert asked is not None, variable
            yield Query(f"variable {variable['name']}", asked[1], panel=False)


QUERIES: Final = tuple(_queries())
