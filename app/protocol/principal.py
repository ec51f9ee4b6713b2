"""Who a browser is, once a credential has been verified; tools are given it too."""

from __future__ import annotations

from blackbox_relay.principal import CallType, Principal

__all__ = ["CallType", "Principal"]
