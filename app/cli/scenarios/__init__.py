"""Scenarios: conversations with an agent, written in YAML, and what is expected of them."""
