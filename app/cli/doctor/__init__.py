"""`blackbox-relay doctor` and `check --connect`: dial, measure, explain."""

from app.cli.doctor.run import connect_once, run_checks

__all__ = ["connect_once", "run_checks"]
