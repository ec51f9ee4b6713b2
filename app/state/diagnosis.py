"""What a failure of Redis says about `RELAY_STATE_URL`, in a sentence for operators.

The sentences are constant: an error's own text may hold a host, a key or a password.
"""

from __future__ import annotations

from typing import Final

from redis.exceptions import RedisError

BY_ERROR: Final = {
    "AuthenticationError": "the user or password in RELAY_STATE_URL is refused",
    "AuthenticationWrongNumberOfArgsError": "this Redis knows no users: leave the name out",
    "NoPermissionError": "this user may not do what the gateway does: give it +@all ~{relay*",
    "MasterNotFoundError": "no Sentinel answers, or none knows a service of this name",
    "BusyLoadingError": "Redis is loading its data: try again soon",
    "TimeoutError": "nothing answers there: check host, port and firewall",
    "MovedError": "this is a node of a Redis Cluster: use redis+cluster:// or rediss+cluster://",
    "TryAgainError": "a slot of the Redis Cluster is being moved: if that has been interrupted, "
    "finish it by redis-cli --cluster fix",
    "ClusterDownError": "the Redis Cluster has slots that no node serves",
}
BY_TEXT: Final = (
    ("Cluster mode is not enabled", "this Redis is no Redis Cluster: use redis:// or rediss://"),
    ("not covered", "the Redis Cluster has slots that no node serves"),
    ("Redis Cluster cannot be connected", "no node of the Redis Cluster answers"),
)


def explain(error: BaseException | None) -> str | None:
    """Say what is wrong, or None where the error says nothing of the URL."""
    if error is None:
        return None
    text = str(error) if isinstance(error, RedisError) else ""
    for part, sentence in BY_TEXT:
        if part in text:
            # A node that refuses the user cannot be connected, either: the cause says more.
            return explain(error.__cause__) or sentence
    return BY_ERROR.get(type(error).__name__)
