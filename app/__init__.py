"""Blackbox Relay: the gateway between browsers and Dasha BlackBox agents."""

__version__ = "0.1.0"
