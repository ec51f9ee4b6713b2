"""An HTTP client for servers on loopback."""

from __future__ import annotations

from typing import Any

import httpx


def plain_client(base_url: str = "", *, timeout: float = 30, **options: Any) -> httpx.AsyncClient:
    """A client that never speaks TLS: to load the system's authorities takes longer than a test."""
    return httpx.AsyncClient(
        base_url=base_url,
        verify=False,  # noqa: S501 - there is nothing to verify
        trust_env=False,
        timeout=timeout,
        **options,
    )
