"""`blackbox-relay doctor`: dial upstream and the gateway, measure, explain."""

from app.doctor.examination import examine

__all__ = ["examine"]
