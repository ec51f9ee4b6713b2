"""From an environment to settings, with every fault at once."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dotenv import dotenv_values
from pydantic import ValidationError

from app.protocol.errors import ConfigurationError
from app.settings.characters import cleaned, unfit_characters
from app.settings.checks import contradictions
from app.settings.lines import repeated, with_lines
from app.settings.model import PREFIX, Settings, said
from app.settings.service_links import SERVICE_LINKS, is_service_link

if TYPE_CHECKING:
    from collections.abc import Mapping

FROM_FILE: Final = "_FILE"
MAX_FILE: Final = 1 << 20
LINED: Final = ("agents", "tenants")


def load(environ: Mapping[str, str] | None = None, dotenv: Path | None = None) -> Settings:
    """Read the environment, then `.env` where the environment says nothing.

    Raises ConfigurationError with a line for every fault: the variable and what to do, never its
    value.
    """
    faults: list[str] = []
    given = _dotenv(dotenv, faults) | dict(os.environ if environ is None else environ)
    ours = {
        name: clean
        for name, value in given.items()
        if name.startswith(PREFIX) and (clean := cleaned(value))
    }
    fields = {PREFIX + name.upper(): name for name in Settings.model_fields}
    values: dict[str, str] = {}
    for name, value in sorted(ours.items()):
        if name in fields:
            values[fields[name]] = value
        elif name.endswith(FROM_FILE) and name.removesuffix(FROM_FILE) in fields:
            faults += _read(name, value, fields[name.removesuffix(FROM_FILE)], values, ours)
        elif is_service_link(name, value):
            faults.append(f"{name} is unknown; {SERVICE_LINKS}")
        else:
            close = difflib.get_close_matches(name, fields, n=1)
            faults.append(f"{name} is unknown" + (f"; did you mean {close[0]}?" if close else ""))
    texts = _texts(values, ours)
    for variable, (_, text) in texts.items():
        faults += repeated(variable, text)
    settings = _validated(values, faults)
    faults += contradictions(settings) + unfit_characters(settings)
    if faults:
        raise ConfigurationError(with_lines(faults, texts))
    return settings


def reloadable_files(
    environ: Mapping[str, str] | None = None, dotenv: Path | None = None
) -> tuple[Path, ...]:
    """The files that agents and tenants are read from, if any."""
    given = _dotenv(dotenv, []) | dict(os.environ if environ is None else environ)
    named = (given.get(f"{PREFIX}{field.upper()}{FROM_FILE}") for field in LINED)
    return tuple(Path(cleaned(path)) for path in named if path)


def with_source_lines(
    faults: list[str], environ: Mapping[str, str] | None = None, dotenv: Path | None = None
) -> list[str]:
    """Add the lines to faults of agents and tenants that were found only later."""
    given = _dotenv(dotenv, []) | dict(os.environ if environ is None else environ)
    ours = {name: clean for name, value in given.items() if (clean := cleaned(value))}
    values: dict[str, str] = {}
    for field in LINED:
        variable = f"{PREFIX}{field.upper()}"
        if variable in ours:
            values[field] = ours[variable]
        elif (path := ours.get(f"{variable}{FROM_FILE}")) is not None:
            _read(f"{variable}{FROM_FILE}", path, field, values, {})
    return with_lines(faults, _texts(values, ours))


def _texts(values: Mapping[str, str], ours: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """The source and the text of every variable whose faults are told with their lines."""
    found = {}
    for field in LINED:
        variable = f"{PREFIX}{field.upper()}"
        if field in values:
            source = f"{variable}{FROM_FILE}" if f"{variable}{FROM_FILE}" in ours else variable
            found[variable] = (source, values[field])
    return found


def adopt(prefix: str, dotenv: Path) -> None:
    """Take variables of others (`OTEL_…`) from `.env`, where the environment does not set them."""
    for name, value in _dotenv(dotenv, []).items():
        if name.startswith(prefix):
            os.environ.setdefault(name, value)


def _dotenv(path: Path | None, faults: list[str]) -> dict[str, str]:
    if path is None or not path.is_file():
        return {}
    try:
        return {
            name: value
            for name, value in dotenv_values(path, encoding="utf-8-sig").items()
            if value
        }
    except (OSError, UnicodeDecodeError) as unreadable:
        faults.append(f"{path.name}: the file cannot be read ({type(unreadable).__name__})")
        return {}


def _validated(values: dict[str, str], faults: list[str]) -> Settings:
    """Validate; a variable that is wrong gets its default, so that the rest is looked at too."""
    try:
        return Settings.model_validate(values)
    except ValidationError as invalid:
        for error in invalid.errors(include_input=False, include_url=False):
            field = str(error["loc"][0])
            value = str(values.pop(field, ""))
            if error["loc"][-1] == "[key]" and field in LINED:
                name = error["loc"][-2]
                faults.append(f"{PREFIX}{field.upper()}: {name} must be a text: put it in quotes")
                continue
            where = f"{PREFIX}{'.'.join(str(part) for part in error['loc']).upper()}"
            hint = f"; {SERVICE_LINKS}" if is_service_link(where, value) else ""
            faults.append(f"{where}: {said(error['msg'])}{hint}")
        return Settings.model_validate(values)


def _read(
    name: str, path: str, field: str, values: dict[str, str], ours: Mapping[str, str]
) -> list[str]:
    plain = name.removesuffix(FROM_FILE)
    if plain in ours:
        return [f"{name} and {plain} are both set; keep one"]
    try:
        with Path(path).open(encoding="utf-8-sig") as file:
            text = file.read(MAX_FILE + 1)
            values[field] = cleaned(text)
    except (OSError, UnicodeDecodeError, ValueError) as unreadable:
        return [f"{name}: the file cannot be read ({type(unreadable).__name__})"]
    if not values[field]:
        del values[field]
        return [f"{name}: the file is empty"]
    if len(text) > MAX_FILE:  # half of it would be another configuration
        del values[field]
        return [f"{name}: the file is larger than {MAX_FILE >> 20} MiB"]
    if field in LINED:  # blank lines before count as lines
        values[field] = "\n" * (text[: text.find(values[field][0])].count("\n")) + values[field]
    return []
