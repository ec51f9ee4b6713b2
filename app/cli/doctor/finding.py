"""One finding of a check, and how it is printed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad it is."""

    FINE = "ok"
    NOTE = "note"
    FAULT = "fault"


MARKS = {Severity.FINE: "✓", Severity.NOTE: "•", Severity.FAULT: "✗"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `advice` says what to change, where something should be."""

    severity: Severity
    subject: str
    seen: str
    advice: str = ""

    def lines(self) -> str:
        """Two lines for people."""
        told = f"  {MARKS[self.severity]} {self.subject}: {self.seen}"
        return told + (f"\n      → {self.advice}" if self.advice else "")


def fine(subject: str, seen: str) -> Finding:
    """All is well."""
    return Finding(Severity.FINE, subject, seen)


def note(subject: str, seen: str, advice: str) -> Finding:
    """It works, but could be better."""
    return Finding(Severity.NOTE, subject, seen, advice)


def fault(subject: str, seen: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(Severity.FAULT, subject, seen, advice)
