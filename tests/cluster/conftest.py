"""The same Redis servers as the store's own tests."""

from __future__ import annotations

from tests.state.conftest import mortal_redis, prefix, redis_server

__all__ = ["mortal_redis", "prefix", "redis_server"]
