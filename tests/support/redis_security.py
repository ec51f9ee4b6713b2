"""TLS and ACL users for the Redis servers of tests; an administrator's plain port stays beside."""

from __future__ import annotations

import datetime as dt
import ipaddress
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.ports import free_port
from tests.support.redis_cluster import RedisCluster
from tests.support.sentinel import SERVICE, Watched

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.redis import RedisServer

VALID = dt.timedelta(days=1)


class Authority:
    """An authority of its own, and a certificate of 127.0.0.1 that it has signed, as PEM files."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.certificate = directory / "authority.pem"
        self.server = directory / "server.pem"
        self.key = directory / "server.key"
        ours, theirs = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests' authority")])
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        root = (
            _certificate(name, name, ours.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_MAY_SIGN, critical=True)
            .add_extension(_key_identifier(ours), critical=False)
            .sign(ours, hashes.SHA256())
        )
        leaf = (
            _certificate(name, subject, theirs.public_key())
            .add_extension(x509.SubjectAlternativeName([address]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_identifier(theirs), critical=False)
            # RFC 5280, 4.2.1.1: Python verifies strictly from 3.13 on, and demands it.
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(ours.public_key()),
                critical=False,
            )
            .sign(ours, hashes.SHA256())
        )
        self.certificate.write_bytes(root.public_bytes(serialization.Encoding.PEM))
        self.server.write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
        self.key.write_bytes(
            theirs.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )

    def settings(self, port: int) -> dict[str, str]:
        """What redis.conf says of TLS, on a port of its own."""
        return {
            "tls-port": str(port),
            "tls-cert-file": str(self.server),
            "tls-key-file": str(self.key),
            "tls-ca-cert-file": str(self.certificate),
            "tls-auth-clients": "no",
        }

    @property
    def query(self) -> str:
        """The parameter of a URL that trusts this authority."""
        return f"ssl_ca_certs={self.certificate}"


def secured(server: RedisServer, authority: Authority, **more: str) -> int:
    """Let a server that has not been started speak TLS, too; return on which port."""
    port = free_port()
    server.settings |= authority.settings(port) | {
        name.replace("_", "-"): value for name, value in more.items()
    }
    return port


def secured_cluster(directory: Path, authority: Authority) -> tuple[RedisCluster, str]:
    """A cluster that speaks TLS, not started, and the hosts of its URL."""
    cluster = RedisCluster(directory)
    for node in cluster.nodes:
        cluster.ports[node] = secured(node, authority, tls_cluster="yes", tls_replication="yes")
    ports = [cluster.ports[node] for node in cluster.nodes[:3]]
    return cluster, ",".join(f"127.0.0.1:{port}" for port in ports)


def secured_sentinels(directory: Path, authority: Authority) -> tuple[Watched, str]:
    """A primary, its replica and their Sentinels with TLS, not started; and the URL's hosts."""
    them = Watched(directory, sentinels=3)
    for server in them.servers:
        them.ports[server] = secured(server, authority, tls_replication="yes")
    ports = []
    for sentinel in them.sentinels:
        ports.append(free_port())
        lines = authority.settings(ports[-1]) | {"tls-replication": "yes"}
        plain, tls = them.servers[0].port, them.ports[them.servers[0]]
        text = sentinel.file.read_text().replace(
            f"monitor {SERVICE} 127.0.0.1 {plain} ", f"monitor {SERVICE} 127.0.0.1 {tls} "
        )
        sentinel.file.write_text(text + "".join(f"{n} {v}\n" for n, v in lines.items()))
    return them, ",".join(f"127.0.0.1:{port}" for port in ports)


_MAY_SIGN: Final = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _key_identifier(key: ec.EllipticCurvePrivateKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())


def _certificate(
    issuer: x509.Name, subject: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return x509.CertificateBuilder(
        issuer, subject, key, x509.random_serial_number(), now - VALID, now + VALID
    )
