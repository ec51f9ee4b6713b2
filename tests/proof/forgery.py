"""A grammar of JWTs that nobody may be let in with, by the attacks that RFC 8725 lists.

The forger has valid tokens, every public key and keys of its own, but no private key and no secret.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

if TYPE_CHECKING:
    from random import Random

SECRET: Final = "a-secret-of-the-operator-that-is-long-enough-for-sha-512-and-more-than-that"
SYMBOLS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
ALGORITHMS: Final[tuple[Any, ...]] = (
    *("none", "None", "NONE", "nOnE", "", None, 5, ["HS256"], {"a": 1}, True, "HS256 ", "hs256"),
    *("HS256", "HS384", "HS512", "RS256", "RS512", "ES256", "ES256K", "PS256", "EdDSA", "ES512"),
    *("HS256\x00", "A128KW", "dir", "RSA-OAEP", "x" * 5000),
)
ODD_KEY_IDS: Final[tuple[Any, ...]] = (
    *("../../dev/null", "' OR 1=1 --", "", 5, None, [], "k" * 9000),
)
ODD_MEMBERS: Final[tuple[tuple[str, Any], ...]] = (
    *(("kid", value) for value in ODD_KEY_IDS),
    *(("jku", value) for value in ("https://attacker.example/jwks", "file:///etc/passwd", 1)),
    *(("x5u", "http://169.254.169.254/"), ("x5c", ["AAAA"]), ("cty", "JWT"), ("zip", "DEF")),
    *(("crit", value) for value in (["exp"], ["b64"], [], "b64", [1], None, ["b64", "b64"])),
    *(("b64", value) for value in (False, True, "false", 0)),
    *(("typ", value) for value in ("JWE", "at+jwt", "logout+jwt", 1, None, "", "JWT\x00")),
    *(("enc", "A128GCM"), ("p2c", 2**31), ("epk", {"kty": "EC"}), ("\ud800", 1)),
)
NUMBERS: Final[tuple[Any, ...]] = (
    *(10**400, -(10**400), 2**63, -(2**63), 2**53 + 1, 1e308, -1e308, 0, -1, 1.5, True, "9" * 20),
    *(None, [], {}, "1e999", "NaN"),
)
RAW_NUMBERS: Final = (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"9" * 5000, b"0x7f", b"01")


@dataclass(frozen=True, slots=True)
class Signer:
    """Who may sign: the algorithm, the key, and what of it everybody knows."""

    algorithm: str
    key: Any
    public: str = ""


def signers() -> tuple[Signer, ...]:
    """Keys of every kind that is accepted by default."""
    keys: tuple[tuple[str, Any], ...] = (
        ("RS256", rsa.generate_private_key(public_exponent=65537, key_size=2048)),
        ("ES256", ec.generate_private_key(ec.SECP256R1())),
        ("EdDSA", ed25519.Ed25519PrivateKey.generate()),
    )
    return (
        Signer("HS256", SECRET),
        *(Signer(name, key, pem(key)) for name, key in keys),
    )


def pem(key: Any) -> str:
    """A private key's public half."""
    raw: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return raw.decode()


def encoded(part: bytes) -> str:
    """A part of a token."""
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def claims(**more: Any) -> dict[str, Any]:
    """Claims that are good for an hour."""
    return {"sub": "customer-7", "exp": int(time.time()) + 3600, **more}


class Forger:
    """Makes tokens by a seed; each is one that was not signed as it stands."""

    def __init__(self, random: Random, signer: Signer, others: tuple[Signer, ...]) -> None:
        self._random = random
        self._signer = signer
        foreign = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        own = {"RS256": foreign, "ES256": ec.generate_private_key(ec.SECP256R1())}
        self._own: dict[str, Any] = {
            **own,
            "HS256": "x" * 64,
            "EdDSA": ed25519.Ed25519PrivateKey.generate(),
        }
        self._publics = [other.public for other in others if other.public]
        self.valid = [
            jwt.encode(claims(n=number), signer.key, signer.algorithm) for number in range(50)
        ]
        self._kinds = (
            *(self._harmed, self._harmed, self._spliced, self._respelled, self._renamed),
            *(self._confused, self._own_key, self._doubled, self._numbers, self._shapes),
        )

    def forge(self) -> tuple[str, str]:
        """A token, and the kind of attack."""
        make = self._random.choice(self._kinds)
        return make(), make.__name__.lstrip("_")

    def _harmed(self) -> str:
        """A valid token with one to three characters gone wrong."""
        token = self._random.choice(self.valid)
        letters = list(token)
        while "".join(letters) == token:
            for _ in range(self._random.randrange(1, 4)):
                at = self._random.randrange(len(letters))
                match self._random.randrange(5):
                    case 0:
                        del letters[at]
                    case 1:
                        letters.insert(at, self._random.choice(SYMBOLS + "=.+/ \n\t%\x00é"))
                    case 2:
                        other = self._random.randrange(len(letters))
                        letters[at], letters[other] = letters[other], letters[at]
                    case _:
                        letters[at] = self._random.choice(SYMBOLS)
        return "".join(letters)

    def _spliced(self) -> str:
        """Parts of two valid tokens."""
        one, other = self._random.sample(self.valid, 2)
        head, body, _ = one.split(".")
        return f"{head}.{body}.{other.split('.')[2]}"

    def _respelled(self) -> str:
        """The same bytes in another spelling of base64: no other text is the token."""
        head, body, signature = self._random.choice(self.valid).split(".")
        match self._random.randrange(4):
            case 0:
                spare = 64 // 4 ** (-len(signature) % 4 or 0)
                last = SYMBOLS.index(signature[-1])
                if len(signature) % 4 == 0:
                    return f"{head}.{body}.{signature}="
                unused = 16 if len(signature) % 4 == 2 else 4
                first = last - last % unused
                others = [n for n in range(first, first + unused) if n != last]
                assert spare
                return f"{head}.{body}.{signature[:-1]}{SYMBOLS[self._random.choice(others)]}"
            case 1:
                return f"{head}.{body}.{signature}{'=' * self._random.randrange(1, 5)}"
            case 2:
                at = self._random.randrange(len(signature))
                odd = self._random.choice("\n\r \t!*")
                return f"{head}.{body}.{signature[:at]}{odd}{signature[at:]}"
            case _:
                return (
                    f" {head}.{body}.{signature}"
                    if at_random(self._random)
                    else (f"{head}.{body}.{signature}.{signature}")
                )

    def _renamed(self) -> str:
        """Another header, and the old signature or none."""
        _, body, signature = self._random.choice(self.valid).split(".")
        header: dict[str, Any] = {"alg": self._random.choice(ALGORITHMS), "typ": "JWT"}
        for _ in range(self._random.randrange(3)):
            name, value = self._random.choice(ODD_MEMBERS)
            header[name] = value
        if header == {"alg": self._signer.algorithm, "typ": "JWT"}:
            header["alg"] = "none"
        signed = signature if at_random(self._random) else ""
        return f"{encoded(json.dumps(header).encode())}.{body}.{signed}"

    def _confused(self) -> str:
        """HS256 with what everybody knows for a secret."""
        known = self._random.choice([*self._publics, "", "secret", self._signer.public])
        key = self._random.choice((known.encode(), known.strip().encode(), known.encode() + b"\n"))
        header = {"alg": self._random.choice(("HS256", "HS384", "HS512")), "typ": "JWT"}
        kinds = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
        unsigned = (
            f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(claims()).encode())}"
        )
        signed = hmac.new(key, unsigned.encode(), kinds[header["alg"]]).digest()
        return f"{unsigned}.{encoded(signed)}"

    def _own_key(self) -> str:
        """Signed well, by a key of the forger's, which the header may bring along."""
        algorithm = self._random.choice(tuple(self._own))
        headers: dict[str, Any] = {}
        if at_random(self._random):
            headers["jwk"] = {"kty": "oct", "k": encoded(b"x" * 64)}
        if at_random(self._random):
            headers["jku"] = "https://attacker.example/jwks"
        if at_random(self._random):
            headers["kid"] = self._random.choice(("", "0", "../key", "default"))
        return jwt.encode(claims(admin=True), self._own[algorithm], algorithm, headers=headers)

    def _doubled(self) -> str:
        """A member twice in the header or the claims, and the old signature."""
        head, body, signature = self._random.choice(self.valid).split(".")
        twice = self._random.choice((b'"alg":"none"', b'"alg":"HS256"', b'"kid":"a"', b'"crit":[]'))
        sub = self._random.choice((b'"sub":"admin"', b'"exp":99999999999', b'"aud":[]'))
        if at_random(self._random):
            head = encoded(decoded(head)[:-1] + b"," + twice + b"}")
        else:
            body = encoded(b"{" + sub + b"," + decoded(body)[1:])
        return f"{head}.{body}.{signature}"

    def _numbers(self) -> str:
        """Odd numbers and values where times belong, and the old signature."""
        head, _, signature = self._random.choice(self.valid).split(".")
        name = self._random.choice(("exp", "nbf", "iat", "sub", "aud"))
        if at_random(self._random):
            body = json.dumps(claims(**{name: self._random.choice(NUMBERS)})).encode()
        else:
            body = b'{"sub":"a","%s":%s}' % (name.encode(), self._random.choice(RAW_NUMBERS))
        return f"{head}.{encoded(body)}.{signature}"

    def _shapes(self) -> str:
        """No token at all, or a deep one."""
        head, body, signature = self._random.choice(self.valid).split(".")
        deep = self._random.choice((100, 2000, 20_000))
        return self._random.choice(
            (
                *(f"{head}.{body}", f"{head}.{body}.", f".{body}.{signature}", "..", f"{head}..x"),
                f"{head}.{encoded(b'[' * deep)}.{signature}",
                f"{encoded(b'{' * deep)}.{body}.{signature}",
                f"{encoded(b'[]')}.{body}.{signature}",
                f"{encoded(b'null')}.{body}.{signature}",
                f"{head}.{body}.{signature}.{body}.{head}",
                "eyJ" + "A" * self._random.randrange(9000),
                self._random.randbytes(40).decode("latin-1"),
            )
        )


def decoded(part: str) -> bytes:
    """The bytes of a token's part."""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def at_random(random: Random) -> bool:
    """Every other time."""
    return random.random() < 0.5
