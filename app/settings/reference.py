"""`.env.example` and the README's table, written from the settings themselves.

`python -m app.settings.reference` writes both anew; a test fails while they differ.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import ByteSize, SecretStr

from app.settings.model import PREFIX, Settings

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

BEGIN: Final = "<!-- settings: written by python -m app.settings.reference -->"
END: Final = "<!-- /settings -->"
KIB: Final = 1024
HEAD: Final = """\
# Every variable of Blackbox Relay, with its default. Copy to .env and uncomment what you change.
# `make run` and `blackbox-relay serve` read .env where the environment itself says nothing.
# Any variable X can come from a file: set X_FILE to its path. Durations are seconds, sizes bytes.
"""


def shown(field: FieldInfo) -> str:
    """A default as an operator would write it; empty where there is none."""
    value = field.get_default(call_default_factory=True)
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, ByteSize):
        return f"{value // KIB // KIB}MiB" if value % (KIB * KIB) == 0 else f"{value // KIB}KiB"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, dict):
        return ""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return f"{value:g}" if isinstance(value, float) else str(value)


def env_example() -> str:
    """The text of `.env.example`."""
    blocks = [
        f"# {field.description}\n#{PREFIX}{name.upper()}={shown(field)}\n"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join([HEAD, *blocks])


def table() -> str:
    """The README's table."""
    rows = [
        f"| `{PREFIX}{name.upper()}` | {f'`{shown(field)}`' if shown(field) else '-'} "
        f"| {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows])


def with_table(readme: str) -> str:
    """A README with the table between its two markers."""
    pattern = f"{re.escape(BEGIN)}.*?{re.escape(END)}"
    written = f"{BEGIN}\n{table()}\n{END}"
    return re.sub(pattern, lambda _: written, readme, count=1, flags=re.DOTALL)


def main() -> None:
    """Write both files, in the working directory."""
    Path(".env.example").write_text(env_example(), encoding="utf-8")
    readme = Path("README.md")
    readme.write_text(with_table(readme.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
