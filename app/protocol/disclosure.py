"""What a browser is shown of the vendor's frames: hidden types, the API key, offers of calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.protocol import frames
from app.protocol.actions import FORWARD, NOTHING, Actions, Count, ToBrowser
from app.protocol.byte_checks import may_contain
from app.protocol.close_codes import UPSTREAM_FAILED
from app.protocol.fast_path import FAST_PATH_ENABLED
from app.protocol.frames import SDP_INVITE
from app.protocol.sdp import with_both_offers
from blackbox_relay import exact_json

if TYPE_CHECKING:
    from app.protocol.initialize import Profile


class Disclosure:
    """Decides for one session. `secrets` are the forms of the API key that no browser may see."""

    def __init__(self, profile: Profile, session_id: str, secrets: frozenset[bytes]) -> None:
        self._profile = profile
        self._id = session_id
        self._secrets = tuple(secrets)

    def shown(self, kind: str, frame: dict[str, Any], payload: bytes, now: float) -> Actions:
        """What the browser is shown of a frame: all of it, nothing, or that there was an error."""
        if kind in self._profile.hide:
            return NOTHING
        if self._contains_secret(frame, payload):
            told = frames.error(now, UPSTREAM_FAILED, self._id, "The agent reported an error.")
            return (Count("secret_withheld"), ToBrowser(told))
        if kind == SDP_INVITE and self._profile.both_sdp_fields:
            return (ToBrowser(with_both_offers(frame, payload)),)
        return FORWARD

    def is_free_of_secrets(self, payload: bytes) -> bool:
        """Tell from its bytes alone that a frame holds no secret; False: `shown` is to decide."""
        return not self._secrets or not (b"\\" in payload or self._has_secret(payload))

    def _contains_secret(self, frame: dict[str, Any], payload: bytes) -> bool:
        """Tell whether a frame holds the API key, as it came or with its escapes undone.

        .NET, for one, escapes every `+`; written anew, a frame escapes only what it must. Without
        an escape the strings in it are as they came.
        """
        if self._has_secret(payload):
            return True
        if b"\\" not in payload:
            return False
        plain = exact_json.dumps(frame)
        return any(secret in plain for secret in self._secrets)

    def _has_secret(self, payload: bytes) -> bool:
        for secret in self._secrets:
            if (not FAST_PATH_ENABLED or may_contain(payload, secret)) and secret in payload:
                return True
        return False
