"""The rules' records cannot be changed, have no more attributes than they declare, or say so."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from pathlib import Path

import pytest

import app.protocol

MODULES = sorted(path.stem for path in Path(app.protocol.__path__[0]).glob("*.py"))
# State of one conversation.
CHANGED = {"ApprovalLedger"}


@pytest.mark.parametrize("name", MODULES)
def test_records_are_frozen_and_slotted(name: str) -> None:
    module = importlib.import_module(f"app.protocol.{name}")
    for label, kind in inspect.getmembers(module, dataclasses.is_dataclass):
        if isinstance(kind, type) and kind.__module__ == module.__name__:
            assert "__slots__" in vars(kind), label
            frozen = inspect.getattr_static(kind, "__dataclass_params__").frozen
            assert frozen is (label not in CHANGED), label
