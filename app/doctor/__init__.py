"""`blackbox-relay doctor` and `check --connect`: dial, measure, explain."""

from app.doctor.examination import connect_once, examine

__all__ = ["connect_once", "examine"]
