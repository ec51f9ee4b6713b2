"""Scenario files: a fault names its file, line and member, and changes nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import jsonschema
import pytest
import yaml

from app.cli.scenarios.files import load
from app.cli.scenarios.schema import PATH, schema, schema_text
from app.protocol.errors import ConfigurationError
from tests.cli.stage import SHIPPED, written
from tests.support.gateway import ROOT

if TYPE_CHECKING:
    from pathlib import Path

FAULTY: dict[str, tuple[str, list[str]]] = {
    "misspelt member": (
        "turns:\n  - sya: hello\n",
        ["2: turns.0.sya: is no member; did you mean say?"],
    ),
    "a number": (
        "turns:\n  - expect: {within: 1}\n    say: 4711\n",
        ["3: turns.0.say: must be a text"],
    ),
    "no turns": ("agent: support\n", ["1: turns: is missing"]),
    "empty turns": ("agent: support\nturns: []\n", ["2: turns: must not be empty"]),
    "empty turn": ("turns:\n  - say: a\n  - {}\n", ["3: turns.1: has neither say nor expect"]),
    "bad pattern": (
        "turns:\n  - expect:\n      matches:\n        - fine\n        - '('\n",
        ["5: turns.0.expect.matches.1: is no regular expression"],
    ),
    "bad time": (
        "turns:\n  - say: a\n    expect:\n      within: -1\n",
        ["4: turns.0.expect.within: should be greater than 0"],
    ),
    "tool without a name": (
        "turns:\n  - expect:\n      tool:\n        args: {}\n",
        ["3: turns.0.expect.tool.name: is missing"],
    ),
    "bad end": ("turns: [{say: a}]\nends: soon\n", ["2: ends: should be 'agent' or 'client'"]),
    "two answers": (
        "turns: [{say: a}]\nmocks:\n  t:\n    - result: 1\n      error: x\n",
        ["4: mocks.t.0: needs exactly one of result and error"],
    ),
    "no YAML": ("turns:\n  - say: [a\n", ["3: is no YAML"]),
    "twice": ("agent: a\nagent: b\nturns: [{say: a}]\n", ["2: agent is there twice"]),
    "a tag": ("turns:\n  - say: !!python/name:os.system x\n", ["2: is no YAML"]),
    "merge": ("turns: [{say: a}]\n<<: {agent: a}\n", ["2: << is not known here"]),
    "control": ("turns:\n  - say: a\x07\n", ["2: is no YAML"]),
    "nothing": ("# nothing\n", ["1: holds no scenario"]),
    "a list": ("- say: a\n", ["1: scenario: must be a mapping"]),
    "second document": (
        "turns: [{say: a}]\n---\nturns: [{say: b}]\nend: agent\n",
        ["4: end: is no member"],
    ),
    "every fault": (
        "agent: 'no such name!'\nwithin: soon\nturns: [{say: a}]\n",
        ["1: agent: ", "2: within: "],
    ),
    "too deep": ("turns: [{say: a}]\nadditional_data: " + "[" * 70 + "]" * 70, ["2: is too large"]),
}


@pytest.mark.parametrize("kind", FAULTY)
def test_a_faulty_file_names_line_and_member(kind: str, tmp_path: Path) -> None:
    text, expected = FAULTY[kind]
    path = tmp_path / "faulty.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as refused:
        load([SHIPPED, path])
    faults = refused.value.faults
    assert len(faults) == len(expected), faults
    for fault, begins in zip(faults, expected, strict=True):
        assert fault.startswith(f"{path}:{begins}"), fault


def test_aliases_that_multiply_are_bounded(tmp_path: Path) -> None:
    levels = "".join(f"  - &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 9))
    path = tmp_path / "bomb.yaml"
    path.write_text(f"additional_data:\n  - &l0 x\n{levels}turns: [{{say: a}}]\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="is too large"):
        load([path])


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"turns: [{say: \xe9}]\n")
    with pytest.raises(ConfigurationError) as refused:
        load([tmp_path / "absent.yaml", tmp_path / "latin.yaml"])
    assert list(refused.value.faults) == [
        f"{tmp_path}/absent.yaml: cannot be read: No such file or directory",
        f"{tmp_path}/latin.yaml: cannot be read: it is not UTF-8",
    ]


def test_words_that_older_yaml_took_for_values_are_texts(tmp_path: Path) -> None:
    text = "turns:\n  - say: yes\n  - say: 12:30\n  - say: 2026-01-31\n  - say: off\n"
    scenario = written(tmp_path / "words.yaml", text).scenario
    assert [turn.say for turn in scenario.turns] == ["yes", "12:30", "2026-01-31", "off"]


def test_short_forms_mean_the_long_ones(tmp_path: Path) -> None:
    short = "turns: [{expect: {contains: a, matches: b, tool: {name: t}}}]\nends: 4502\n"
    long = (
        "turns: [{expect: {contains: [a], matches: [b], tool: [{name: t}]}}]\n"
        "ends: {by: agent, code: 4502}\n"
    )
    one, other = written(tmp_path / "a.yaml", short), written(tmp_path / "b.yaml", long)
    assert one.scenario == other.scenario


def test_the_readmes_scenario_is_one(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    _, _, rest = readme.partition("<!-- sample: scenario -->\n```yaml\n")
    sample, _, _ = rest.partition("```")
    scenario = written(tmp_path / "sample.yaml", sample).scenario
    assert [turn.say for turn in scenario.turns] == [None, "It is A-1001."]
    jsonschema.validate(yaml.safe_load(sample), schema())


def test_the_schema_for_editors_is_the_models() -> None:
    assert (ROOT / PATH).read_text(encoding="utf-8") == schema_text(), (
        "run python -m app.cli.generated_docs"
    )
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_scenarios_fit_the_schema_and_name_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    first, _, _ = text.partition("\n")
    named = first.removeprefix("# yaml-language-server: $schema=")
    assert (path.parent / named).resolve() == (ROOT / PATH).resolve()
    for document in yaml.safe_load_all(text):
        jsonschema.validate(document, json.loads((ROOT / PATH).read_text()))


@pytest.mark.parametrize("kind", ["misspelt member", "a number", "no turns", "bad time", "bad end"])
def test_the_schema_refuses_what_the_loader_refuses(kind: str) -> None:
    document = yaml.safe_load(FAULTY[kind][0])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema())
