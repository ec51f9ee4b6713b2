"""JSON Web Tokens: the algorithm is the operator's choice, never the token's (RFC 8725 §3.1)."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from time import time
from typing import TYPE_CHECKING, Any, Final

import jwt
import orjson
import structlog
from jwt.algorithms import get_default_algorithms

from app.auth.claims import InvalidClaims, principal_from
from app.auth.compact import is_canonical
from app.auth.jwks import ASYMMETRIC, SYMMETRIC
from app.auth.times import Untimely, check_times
from app.protocol.close_codes import UNAUTHENTICATED
from app.protocol.errors import ConfigurationError, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import SecretStr

    from app.auth.connect_request import ConnectRequest, Credential
    from app.auth.jwks import Jwks
    from app.protocol.principal import Principal

log = structlog.get_logger(__name__)

CAUSES: Final[tuple[tuple[type[Exception], str], ...]] = (
    (jwt.InvalidSignatureError, "signature"),
    (jwt.InvalidAlgorithmError, "algorithm_not_allowed"),
    (jwt.InvalidKeyError, "unknown_key"),
    (jwt.InvalidAudienceError, "audience"),
    (jwt.InvalidIssuerError, "issuer"),
    (jwt.MissingRequiredClaimError, "missing_claim"),
)
CLOCKS: Final = (
    "if the issuer says otherwise, a clock is wrong: synchronise this machine and the issuer (NTP)"
)
# RFC 7518 §3.2: a key is at least as long as the hash.
SECRET_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class JwtKeys:
    """How tokens are verified: by a shared secret, a public key (PEM) or a set of keys at a URL.

    Without `algorithms`, HS256 goes with a secret, and RS256, ES256 and EdDSA with keys.
    """

    secret: SecretStr | None = None
    public_key: str | None = None
    jwks_url: str | None = None
    algorithms: tuple[str, ...] = ()
    issuer: str | None = None
    audience: tuple[str, ...] = ()

    def allowed(self) -> frozenset[str]:
        """Return the algorithms that are accepted; raises ConfigurationError with every fault."""
        has_keys = self.public_key is not None or self.jwks_url is not None
        faults: list[str] = []
        if self.secret is None and not has_keys:
            faults.append(
                "RELAY_AUTH: jwt needs RELAY_JWT_SECRET, RELAY_JWT_PUBLIC_KEY or RELAY_JWT_JWKS_URL"
            )
        if self.public_key is not None and self.jwks_url is not None:
            faults.append("RELAY_JWT_PUBLIC_KEY: only one of this and RELAY_JWT_JWKS_URL")
        for name in self.algorithms:
            if name in SYMMETRIC:
                missing = None if self.secret is not None else "RELAY_JWT_SECRET"
            elif name in ASYMMETRIC:
                missing = None if has_keys else "RELAY_JWT_PUBLIC_KEY or RELAY_JWT_JWKS_URL"
            else:
                faults.append(f"RELAY_JWT_ALGORITHMS: {name[:16]!r} is not supported")
                continue
            if missing is not None:
                faults.append(f"RELAY_JWT_ALGORITHMS: {name} needs {missing}")
        if faults:
            raise ConfigurationError(faults)
        return frozenset(self.algorithms) or frozenset(
            (["HS256"] if self.secret is not None else [])
            + (["RS256", "ES256", "EdDSA"] if has_keys else [])
        )


class Jwt:
    """The `jwt` method. Give `jwks` when the keys are at a URL. Raises ConfigurationError."""

    ambient = False

    def __init__(
        self, keys: JwtKeys, jwks: Jwks | None = None, *, clock: Callable[[], float] = time
    ) -> None:
        self._algorithms = keys.allowed()
        if (keys.jwks_url is None) != (jwks is None):
            raise ConfigurationError(["RELAY_JWT_JWKS_URL: a set of keys goes with its URL"])
        self._keys = keys
        self._jwks = jwks
        self._clock = clock
        self._public = _public_keys(keys.public_key, self._algorithms)
        if keys.secret and len(keys.secret.get_secret_value().encode()) < SECRET_BYTES:
            log.warning("jwt_secret_is_short", least_bytes=SECRET_BYTES)

    def handles(self, credential: Credential | None) -> bool:
        """Take JWTs."""
        return credential is not None and credential.is_jwt

    async def authenticate(
        self,
        request: ConnectRequest,  # noqa: ARG002
        credential: Credential | None,
    ) -> Principal:
        """Verify the token; raises Refusal. The session enforces `expires_at`."""
        if credential is None:
            raise Refusal(UNAUTHENTICATED)
        token = credential.value.get_secret_value()
        try:
            claims = await self._verified(token)
            return principal_from(claims, "jwt", credential_id=_id_of(token))
        except InvalidClaims as error:
            log.info("jwt_refused", cause="unreadable_claim", claim=error.claim)
            raise Refusal(
                UNAUTHENTICATED, f"The claim {error.claim} of the credential cannot be read."
            ) from None
        except Untimely as error:
            log.info(
                "jwt_refused",
                cause=error.cause,
                claim=error.claim,
                seconds=round(error.seconds, 1),
                advice=CLOCKS,
            )
            raise Refusal(UNAUTHENTICATED, str(error)) from None
        # Beyond the library's own errors: numbers and nesting that its JSON parser lets through.
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            cause = next((word for kind, word in CAUSES if isinstance(error, kind)), "malformed")
            claim = getattr(error, "claim", None)
            log.info("jwt_refused", cause=cause, **({"claim": claim} if claim else {}))
            raise Refusal(UNAUTHENTICATED) from None

    async def _verified(self, token: str) -> dict[str, Any]:
        if not is_canonical(token):
            raise jwt.DecodeError
        header = _header(token)
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in self._algorithms:
            raise jwt.InvalidAlgorithmError
        kid = header.get("kid")
        if not isinstance(kid, str | None):
            raise jwt.DecodeError

        def verify(key: Any) -> dict[str, Any]:
            return self._decoded(token, algorithm, key)

        if self._jwks is not None and algorithm in ASYMMETRIC:
            claims = await self._jwks.verified(algorithm, kid, verify)
        else:
            claims = verify(self._key(algorithm))
        check_times(claims, self._clock())
        return claims

    def _decoded(self, token: str, algorithm: str, key: Any) -> dict[str, Any]:
        """Verify all but the times, whose leeway PyJWT would grant to `exp`, too."""
        return jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=self._keys.audience or None,
            issuer=self._keys.issuer,
            options={
                "require": ["exp", "sub"],
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "verify_aud": bool(self._keys.audience),
                "verify_iss": self._keys.issuer is not None,
            },
        )

    def _key(self, algorithm: str) -> Any:
        """Choose by the kind of algorithm, so that a public key is never taken for a secret."""
        if algorithm in SYMMETRIC and self._keys.secret is not None:
            return self._keys.secret.get_secret_value()
        if algorithm in self._public:
            return self._public[algorithm]
        raise jwt.InvalidKeyError


def _id_of(token: str) -> str:
    """Return the id of a token without `jti`: the SHA-256 of what was signed, its first two parts.

    The signature is left out: the holder of an ECDSA signature can make a second (FIPS 186-5 §6.4).
    """
    return hashlib.sha256(token.rpartition(".")[0].encode()).hexdigest()


def _header(token: str) -> dict[str, Any]:
    """Read the header alone, which names the key; PyJWT reads and judges it again with the rest."""
    encoded = token.partition(".")[0].encode()
    header = orjson.loads(urlsafe_b64decode(encoded + b"=" * (-len(encoded) % 4)))
    if not isinstance(header, dict):
        raise jwt.DecodeError
    return header


def _public_keys(pem: str | None, algorithms: frozenset[str]) -> dict[str, Any]:
    if pem is None:
        return {}
    known = get_default_algorithms()
    keys: dict[str, Any] = {}
    for name in algorithms & ASYMMETRIC:
        try:
            keys[name] = known[name].prepare_key(pem.replace("\\n", "\n"))
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
    if not keys:
        raise ConfigurationError(
            ["RELAY_JWT_PUBLIC_KEY: is no public key in PEM for the allowed algorithms"]
        )
    return keys
