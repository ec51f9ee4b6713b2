"""The longest files are the first that workers take."""

from __future__ import annotations

from pathlib import Path

from tests.order import SECONDS, rank

ROOT = Path(__file__).parents[2]


def test_every_file_with_a_duration_exists() -> None:
    assert [name for name in SECONDS if not (ROOT / name).is_file()] == []


def test_packages_with_fixtures_come_first_then_long_files_then_the_others() -> None:
    files = [
        "tests/auth/test_other.py",
        "tests/pages/test_looks.py",
        "tests/console/test_other.py",
        "tests/history/test_real_conversations.py",
        "tests/e2e/test_voice.py",
        "tests/auth/test_another.py",
    ]
    assert sorted(files, key=rank) == [
        "tests/e2e/test_voice.py",
        "tests/console/test_other.py",
        "tests/history/test_real_conversations.py",
        "tests/pages/test_looks.py",
        "tests/auth/test_other.py",
        "tests/auth/test_another.py",
    ]
