"""Webhooks of lifecycle events: receivers, storing until delivered, delivering, redelivering."""
