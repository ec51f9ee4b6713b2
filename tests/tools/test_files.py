"""RELAY_TOOLS with the paths of files, and backends whose own package is called `app`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

import app.tools
from app.protocol.errors import ConfigurationError
from app.tools.registry import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from app.tools.declare import FunctionTool
    from app.tools.threads import DaemonThreads

HEAD = "from blackbox_relay import tool\n"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory; nothing that was imported from it stays."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    before = set(sys.modules)
    folder = tmp_path / "shop"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield folder
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(folder: Path, **files: str) -> None:
    """Write modules; `a__b` is `a/b.py`."""
    for name, text in files.items():
        path = folder.joinpath(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def package(folder: Path, name: str, **modules: str) -> None:
    """Write a package with these modules."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text("")
    write(folder / name, **modules)


def answers(tools: list[FunctionTool]) -> dict[str, object]:
    return {found.name: found._function() for found in tools}


def answering(name: str, expression: str, imports: str = "") -> str:
    return f"{HEAD}{imports}\n@tool\ndef {name}(): return {expression}\n"


@pytest.mark.parametrize("spelling", ["tools.py", "./tools.py", "{folder}/tools.py"])
def test_a_file_is_named_by_its_path(shop: Path, threads: DaemonThreads, spelling: str) -> None:
    write(shop, tools=answering("one", "1") + "@tool\ndef two(): return 2\n")
    path = spelling.format(folder=shop)
    assert answers(load([path], threads)) == {"one": 1, "two": 2}
    (found,) = load([f"{path}:two"], threads)
    assert found.name == "two"
    assert found.origin == f"{path}:two"


def test_a_file_named_twice_is_imported_once(shop: Path, threads: DaemonThreads) -> None:
    write(shop, tools=answering("one", "1"))
    assert len(load(["./tools.py", f"{shop}/tools.py:one"], threads)) == 1


def test_files_of_one_name_have_their_own_neighbours(shop: Path, threads: DaemonThreads) -> None:
    for name in ("orders", "refunds"):
        (shop / name).mkdir()
        write(shop / name, tools=answering(name, "db.NAME", "import db"), db=f"NAME = {name!r}")
    found = load(["orders/tools.py", "refunds/tools.py"], threads)
    assert answers(found) == {"orders": "orders", "refunds": "refunds"}
    assert {tool.origin for tool in found} == {
        "orders/tools.py:orders",
        "refunds/tools.py:refunds",
    }


IMPORTS = {
    "absolute": ("from app.db import NAME", "NAME"),
    "module": ("import app.db", "app.db.NAME"),
    "renamed": ("import app.db as d", "d.NAME"),
    "submodule": ("from app import db", "db.NAME"),
    "deep": ("from app.deep.inner import NAME", "NAME"),
    "within a function": ("", "__import__('app.db').db.NAME"),
}


@pytest.mark.parametrize("way", IMPORTS)
@pytest.mark.parametrize("place", ["tools", "app/tools", "agents/tools", "package/tools"])
def test_a_backend_s_own_app_is_what_its_files_import(
    shop: Path, threads: DaemonThreads, way: str, place: str
) -> None:
    imports, expression = IMPORTS[way]
    inner = "from app.db import NAME\nfrom ..db import NAME as same\nassert NAME is same\n"
    package(shop, "app", db="from app.settings import NAME\n", settings="NAME = 'shop'\n")
    package(shop / "app", "deep", inner=inner)
    package(shop, "package")
    (shop / "agents").mkdir()
    (shop / f"{place}.py").write_text(answering("whose", expression, imports))
    assert answers(load([f"./{place}.py"], threads)) == {"whose": "shop"}
    assert sys.modules["app"].tools is app.tools
    assert "app.db" not in sys.modules


def test_a_file_in_a_package_may_import_relatively(shop: Path, threads: DaemonThreads) -> None:
    package(shop, "app", tools=answering("whose", "NAME", "from .db import NAME"), db="NAME = 7")
    assert answers(load(["app/tools.py"], threads)) == {"whose": 7}


def test_what_a_backend_s_app_lacks_is_the_gateway_s(shop: Path, threads: DaemonThreads) -> None:
    package(shop, "app", db="NAME = 'shop'\n")
    write(
        shop,
        old="from app.db import NAME\nfrom app.tools import tool\n@tool\ndef a(): return NAME\n",
    )
    assert answers(load(["./old.py"], threads)) == {"a": "shop"}


def test_a_folder_without_modules_hides_nothing_installed(
    shop: Path, threads: DaemonThreads
) -> None:
    (shop / "alembic" / "versions").mkdir(parents=True)
    (shop / "app").mkdir()
    (shop / "app" / "db.py").write_text("NAME = 'a package without __init__.py'")
    text = answering(
        "one", "(bool(alembic.__version__), NAME)", "import alembic\nfrom app.db import *"
    )
    write(shop, tools=text)
    assert answers(load(["./tools.py"], threads)) == {
        "one": (True, "a package without __init__.py")
    }


ABSENT = "is no file (looked for in {here})"
BROKEN = "cannot be imported: no module named"


@pytest.mark.parametrize(
    ("path", "text", "fault"),
    [
        ("./none.py", "", ABSENT),
        ("app/none.py", "", ABSENT),
        ("./tools.py", "x = 1\n", "has no function with @tool"),
        ("./tools.py:x", "x = 1\n", "is no function with @tool"),
        ("./tools.py", "import app.nothing\n", f"{BROKEN} 'app.nothing'"),
        ("./tools.py", "import app.broken\n", f"{BROKEN} 'missing_library'"),
        ("./tools.py", "raise OSError('secret')\n", "cannot be imported (OSError at tools.py:1)"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(
    shop: Path, threads: DaemonThreads, path: str, text: str, fault: str
) -> None:
    package(shop, "app", broken="import missing_library\n")
    write(shop, tools=text)
    with pytest.raises(ConfigurationError) as caught:
        load([path], threads)
    assert caught.value.faults == (f"RELAY_TOOLS: {path} {fault.format(here=shop)}",)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("app.tools", "app.tools has no function with @tool"),
        ("app.tools:refund", "app.tools:refund is no function with @tool"),
        ("app.db", "app.db cannot be imported: no module named 'app.db'"),
        ("app.shop.tools", "app.shop.tools cannot be imported: no module named 'app.shop'"),
    ],
)
def test_an_import_path_into_our_app_says_how_to_name_one_s_own(
    shop: Path, threads: DaemonThreads, path: str, said: str
) -> None:
    package(shop, "app", tools=answering("a", "1"), db=answering("b", "2"))
    with pytest.raises(ConfigurationError) as caught:
        load([path], threads)
    file = f"./{path.partition(':')[0].replace('.', '/')}.py"
    hint = f"app is the gateway's own package: if yours is meant, name its file, {file}"
    assert caught.value.faults == (f"RELAY_TOOLS: {said}; {hint}",)
