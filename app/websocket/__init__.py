"""The WebSocket data phase on both legs (RFC 6455)."""
