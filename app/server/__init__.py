"""The server side: uvicorn's HTTP protocol, the WebSocket handshake, the upgrade to a `Socket`."""
