"""What a failure of Redis says about `RELAY_STATE_URL`, in a sentence for operators.

The sentences are constant: an error's own text may hold a host, a key or a password.
"""

from __future__ import annotations

from typing import Final

from redis.exceptions import RedisError

VARIABLE: Final = "RELAY_STATE_URL"

_RIGHTS: Final = (
    "this user may not do what the gateway does: see the ACL rule in the README, Stores"
)

_UNTRUSTED: Final = (
    "the certificate is another name's, or from an authority that neither SSL_CERT_FILE nor "
    "ssl_ca_certs in RELAY_STATE_URL holds"
)
_NO_CLUSTER: Final = (
    "this Redis is no Redis Cluster: use redis://, or redis+sentinel:// where Sentinels answer"
)
_NO_TLS: Final = "this port speaks no TLS: use redis://, redis+sentinel:// or redis+cluster://"

BY_ERROR: Final = {
    "AuthenticationError": "the user or password in RELAY_STATE_URL is refused",
    "AuthenticationWrongNumberOfArgsError": "this Redis knows no users: leave the name out",
    "NoPermissionError": _RIGHTS,
    "NoSuchService": "the Sentinels know no service of the name in RELAY_STATE_URL",
    "NoLivingPrimary": "the Sentinels say that the primary of the service is down",
    "NoSentinel": "no Sentinel answers at the hosts of RELAY_STATE_URL",
    "BusyLoadingError": "Redis is loading its data: try again soon",
    "TimeoutError": "nothing answers there: check host, port and firewall, and whether it "
    "speaks TLS (rediss://)",
    "MovedError": "this is a node of a Redis Cluster: use redis+cluster:// or rediss+cluster://",
    "TryAgainError": "a slot of the Redis Cluster is being moved: if that has been interrupted, "
    "finish it by redis-cli --cluster fix",
    "ClusterDownError": "the Redis Cluster has slots that no node serves",
}
BY_SENTINEL: Final = {
    "AuthenticationError": "the Sentinels refuse sentinel_username or sentinel_password in "
    "RELAY_STATE_URL",
    "NoPermissionError": "the Sentinels' user may not ask for their primaries: see the README, "
    "Stores",
    "ResponseError": "what answers is no Sentinel: RELAY_STATE_URL must be redis:// or name the "
    "Sentinels' port",
}
"""What a Sentinel, or what was taken for one, has said."""

BY_TEXT: Final = (
    ("Cluster mode is not enabled", _NO_CLUSTER),
    ("cluster support disabled", _NO_CLUSTER),
    ("not covered", "the Redis Cluster has slots that no node serves"),
    ("Redis Cluster cannot be connected", "no node of the Redis Cluster answers"),
    (
        "CERTIFICATE_VERIFY_FAILED",
        _UNTRUSTED,
    ),
    ("WRONG_VERSION_NUMBER", _NO_TLS),
    ("RECORD_LAYER_FAILURE", _NO_TLS),
    ("ACL failure in script", _RIGHTS),
    ("can't run this command", _RIGHTS),
    (
        "unknown command",
        "what answers is no Redis, or a Sentinel: use redis+sentinel://host:port/service",
    ),
)


def explain(error: BaseException | None) -> str | None:
    """Say what is wrong, naming the variable, or None where the error says nothing of the URL."""
    sentence = _sentence(error)
    if sentence is None or VARIABLE in sentence:
        return sentence
    return f"{VARIABLE}: {sentence}"


def _sentence(error: BaseException | None) -> str | None:
    if error is None:
        return None
    name = type(error).__name__
    if name == "NoSentinel":
        cause = error.__cause__
        return BY_SENTINEL.get(type(cause).__name__) or _by_text(cause) or BY_ERROR[name]
    return _by_text(error) or BY_ERROR.get(name)


def _by_text(error: BaseException | None) -> str | None:
    text = str(error) if isinstance(error, RedisError) else ""
    for part, sentence in BY_TEXT:
        if part in text:
            # A node that refuses the user cannot be connected, either: the cause says more.
            return _sentence(error.__cause__ if error else None) or sentence
    return None
