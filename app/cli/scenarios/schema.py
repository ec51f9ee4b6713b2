"""The JSON Schema of scenario files, for editors: `deploy/ci/scenario.schema.json`."""

from __future__ import annotations

import json
from typing import Any, Final

from app.cli.scenarios.model import Scenario

PATH: Final = "deploy/ci/scenario.schema.json"


def schema() -> dict[str, Any]:
    """The schema of one scenario, in draft 2020-12."""
    found = Scenario.model_json_schema(mode="validation")
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, **found, "title": "Blackbox Relay scenario"}


def schema_text() -> str:
    """The file's text."""
    return json.dumps(schema(), indent=2) + "\n"
