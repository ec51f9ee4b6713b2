"""What an examination finds, and how it is told."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """How bad it is."""

    FINE = "ok"
    NOTE = "note"
    FAULT = "fault"


MARKS = {Grade.FINE: "✓", Grade.NOTE: "•", Grade.FAULT: "✗"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `advice` says what to change, where something should be."""

    grade: Grade
    subject: str
    seen: str
    advice: str = ""

    def lines(self) -> str:
        """Two lines for people."""
        told = f"  {MARKS[self.grade]} {self.subject}: {self.seen}"
        return told + (f"\n      → {self.advice}" if self.advice else "")


def fine(subject: str, seen: str) -> Finding:
    """All is well."""
    return Finding(Grade.FINE, subject, seen)


def note(subject: str, seen: str, advice: str) -> Finding:
    """It works, but could be better."""
    return Finding(Grade.NOTE, subject, seen, advice)


def fault(subject: str, seen: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(Grade.FAULT, subject, seen, advice)
