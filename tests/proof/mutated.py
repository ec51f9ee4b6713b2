"""Runs tests against a mutant of one module: a fork, with the source under the module's name.

The parent has imported what the tests need of other people's packages: a run costs the tests
alone. No file is changed: an importer gives the mutated source to whoever imports the module.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import os
import pickle
import resource
import signal
import sys
import time
import warnings
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

ROOT: Final = Path(__file__).parents[2]
OURS: Final = ("app", "tests", "blackbox_relay")
OPTIONS: Final = (
    *(
        "-x",
        "-q",
        "-m",
        "not nightly and not source",
        "-p",
        "no:cacheprovider",
    ),
    *("--hypothesis-seed=0", "-p", "no:xdist", "-p", "no:cov"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # plugins are preloaded, too
)
EXAMPLES: Final = "12"  # of each property, for a mutant
# How much longer than without a mutation tests may take, and what is granted to all.
PATIENCE, CPU_LEAST, WALL_LEAST = 8, 5.0, 30.0


class Fate(Enum):
    """What came of a mutant."""

    KILLED = "killed"
    TIMED_OUT = "timed out"
    SURVIVED = "survived"
    BROKEN = "broken"  # the tests could not be run: no verdict


class _Importer(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Imports one module from a source of its own."""

    def __init__(self, name: str, path: Path, source: str) -> None:
        self.name, self.path, self.source = name, path, source

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self)

    def get_source(self, fullname: str) -> str:
        assert fullname == self.name
        return self.source

    def exec_module(self, module: ModuleType) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            code = compile(self.source, str(self.path), "exec", dont_inherit=True)
        exec(code, module.__dict__)  # noqa: S102 - that is what an importer does


@dataclass(frozen=True, slots=True)
class Measured:
    """What tests take without a mutation, in seconds, and what they import."""

    cpu: float
    wall: float
    names: tuple[str, ...]

    @property
    def cpu_limit(self) -> int:
        """Seconds of processor time that they may take with one."""
        return int(PATIENCE * self.cpu + CPU_LEAST)

    @property
    def wall_limit(self) -> float:
        """Seconds by the clock that they may take with one: it may sleep."""
        return PATIENCE * self.wall + WALL_LEAST


def run(module: Path, source: str, tests: Sequence[str], usual: Measured) -> Fate:
    """Run tests with a module's source replaced."""
    child = os.fork()
    if child == 0:
        _in_child(module, source, tests, usual.cpu_limit)
    status = _waited(child, usual.wall_limit)
    if os.WIFSIGNALED(status):
        timed_out = os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL)
        return Fate.TIMED_OUT if timed_out else Fate.KILLED
    code = os.WEXITSTATUS(status)
    known = {0: Fate.SURVIVED, 1: Fate.KILLED, 2: Fate.KILLED}
    return known.get(code, Fate.BROKEN)


def measure(tests: Sequence[str]) -> Measured:
    """Run tests as they are.

    Raises AssertionError if they fail: then they say nothing of a mutant.
    """
    here, there = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(here)
        _quiet()
        code = pytest.main([*OPTIONS, *tests])
        used = resource.getrusage(resource.RUSAGE_SELF)
        with os.fdopen(there, "wb") as pipe:
            pickle.dump((int(code), used.ru_utime + used.ru_stime, list(sys.modules)), pipe)
        os._exit(0)
    os.close(there)
    with os.fdopen(here, "rb") as pipe:
        code, seconds, names = pickle.load(pipe)  # noqa: S301 - our own child wrote it
    os.waitpid(child, 0)
    assert code == 0, f"{tests} fail without any mutation (pytest: {code})"
    return Measured(seconds, time.monotonic() - began, tuple(names))


def preload(names: Sequence[str]) -> None:
    """Import other people's packages here, once for all forks."""
    for name in names:
        if name.split(".")[0] in OURS or name in sys.modules:
            continue
        try:
            importlib.import_module(name)
        except Exception:  # noqa: BLE001, S112 - only speed is lost
            continue


def _in_child(module: Path, source: str, tests: Sequence[str], cpu: int) -> None:
    try:
        _quiet()
        resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))
        for imported in [name for name in sys.modules if name.split(".")[0] in OURS]:
            del sys.modules[imported]  # by whoever started this; the tests import the mutant
        name = ".".join(module.with_suffix("").parts)
        sys.meta_path.insert(0, _Importer(name, ROOT / module, source))
        code = int(pytest.main([*OPTIONS, *tests]))
    except BaseException:  # noqa: BLE001 - whatever it is, the mutant is noticed
        code = 1
    os._exit(code)


def _quiet() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.environ["HYPOTHESIS_EXAMPLES"] = EXAMPLES
    os.setpgid(0, 0)


def _waited(child: int, seconds: float) -> int:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return status
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]
