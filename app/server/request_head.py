"""What a request's head says about where the request ends (RFC 9112 §6), read strictly.

Pure functions. llhttp has split the head into lines; here is refused what another HTTP
implementation in front could have read differently, so that no byte of one request becomes part of
another (request smuggling).
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from app.protocol.errors import RelayError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
# RFC 9110 §5.5: visible characters, obs-text, blanks and tabs.
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
# A fragment is no part of a target (RFC 9112 §3.2).
_TARGET: Final = re.compile(rb"[\x21\x22\x24-\x7e]+")
# RFC 9112 §3: one blank between the parts; empty lines before it are skipped (§2.2).
_REQUEST_LINE: Final = re.compile(
    rb"(?:\r\n)*[!#$%&'*+.^_`|~0-9A-Za-z-]+ [\x21-\x7e]+ HTTP/[0-9]\.[0-9]\r\n"
)
_VERSIONS: Final = ("1.0", "1.1")
# Bytes of one header's value: a credential has as many (a JWT with groups, a cookie of an SSO).
MAX_VALUE: Final = 16 * 1024
MAX_TARGET: Final = 8192
MAX_HEADERS: Final = 128
# Those which are long in practice, and may be named in a log; any other name is a peer's word.
_NAMED: Final = {
    b"authorization": "Authorization",
    b"cookie": "Cookie",
    b"forwarded": "Forwarded",
    b"origin": "Origin",
    b"referer": "Referer",
    b"sec-websocket-protocol": "Sec-WebSocket-Protocol",
    b"user-agent": "User-Agent",
    b"x-forwarded-for": "X-Forwarded-For",
}


class MalformedHead(RelayError):  # noqa: N818 - a refusal, no error of ours
    """A head that is refused by `status`, with a sentence, `lines` of the answer, and log facts."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        lines: Sequence[tuple[bytes, bytes]] = (),
        **facts: str | int,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.lines = lines
        self.facts = facts


def check_request_line(head: bytes) -> None:
    """Raise `MalformedHead` where a head, as it came, does not begin as one of HTTP.

    llhttp takes several blanks for one, RTSP and ICE for HTTP, and skips single CRs and LFs.
    """
    if _REQUEST_LINE.match(head) is None:
        raise MalformedHead(HTTPStatus.BAD_REQUEST, "The request line cannot be read (RFC 9112).")


def check_head(
    method: str, version: str, target: bytes, headers: Sequence[tuple[bytes, bytes]]
) -> bytes:
    """Give the target in origin-form. Raises `MalformedHead`.

    Names are in lower case. The connection must be closed after a refusal.
    """
    _check_sizes(target, headers)
    lengths, codings, hosts = [], [], []
    for name, value in headers:
        if _CONTROL.search(value):
            raise MalformedHead(HTTPStatus.BAD_REQUEST, "A header holds a control character.")
        if name == b"content-length":
            lengths.append(value)
        elif name == b"transfer-encoding":
            codings.append(value)
        elif name == b"host":
            hosts.append(value)
        elif name == b"expect" and value.lower() != b"100-continue":
            raise MalformedHead(
                HTTPStatus.EXPECTATION_FAILED, "The one Expect known is 100-continue."
            )
    if version not in _VERSIONS:
        raise MalformedHead(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "HTTP/1.1 is spoken here.")
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        raise MalformedHead(HTTPStatus.BAD_REQUEST, "A request has one Host.")
    _check_length(version, lengths, codings)
    if method == "CONNECT":
        raise MalformedHead(HTTPStatus.NOT_IMPLEMENTED, "This is no proxy.")
    return _origin_form(target, hosts)


def has_body(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Tell whether a head that `check_head` has passed announces a body."""
    return any(name == b"transfer-encoding" for name, _ in headers) or body_length(headers) > 0


def body_length(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """Give the bytes of the body of a head that `check_head` has passed; 0 of a chunked one."""
    for name, value in headers:
        if name == b"content-length":
            return int(value)
    return 0


def rebuilt(
    method: str, version: str, target: bytes, headers: Iterable[tuple[bytes, bytes]]
) -> bytes:
    """Write a head anew, without `Upgrade`."""
    lines = [f"{method} ".encode(), target, f" HTTP/{version}\r\n".encode()]
    for name, value in headers:
        if name != b"upgrade":
            lines += (name, b": ", value, b"\r\n")
    lines.append(b"\r\n")
    return b"".join(lines)


def _check_sizes(target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
    if len(target) > MAX_TARGET:
        raise MalformedHead(
            HTTPStatus.REQUEST_URI_TOO_LONG,
            f"The URL is {len(target)} bytes, the most is {MAX_TARGET}.",
            size=len(target),
            limit=MAX_TARGET,
        )
    too_large = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    if len(headers) > MAX_HEADERS:
        detail = f"There are {len(headers)} headers, the most is {MAX_HEADERS}."
        raise MalformedHead(too_large, detail, headers=len(headers), limit=MAX_HEADERS)
    for name, value in headers:
        if len(value) > MAX_VALUE:
            known, size = _NAMED.get(name, "A header"), len(value)
            detail = f"{known} is {size} bytes, the most is {MAX_VALUE}."
            raise MalformedHead(too_large, detail, header=known, size=size, limit=MAX_VALUE)


def _check_length(version: str, lengths: list[bytes], codings: list[bytes]) -> None:
    if codings:
        if lengths or len(codings) > 1 or version != "1.1":
            raise MalformedHead(
                HTTPStatus.BAD_REQUEST, "A body has one Content-Length or is chunked, not both."
            )
        if codings[0].lower() != b"chunked":
            raise MalformedHead(HTTPStatus.NOT_IMPLEMENTED, "The one coding known is chunked.")
    elif len(lengths) > 1 or (lengths and not _LENGTH.fullmatch(lengths[0])):
        raise MalformedHead(HTTPStatus.BAD_REQUEST, "A Content-Length is one number.")


def _origin_form(target: bytes, hosts: list[bytes]) -> bytes:
    if not _TARGET.fullmatch(target):
        raise MalformedHead(HTTPStatus.BAD_REQUEST, "The target is no URL.")
    if target.startswith(b"/"):
        return target
    scheme, found, rest = target.partition(b"://")
    authority = re.split(rb"[/?]", rest, maxsplit=1)[0]
    # RFC 9112 §3.2.2: the target's authority counts. Another Host is a fault of the client.
    if not found or scheme.lower() not in (b"http", b"https") or [authority] != hosts:
        raise MalformedHead(
            HTTPStatus.BAD_REQUEST, "The target is neither a path nor this host's URL."
        )
    path = rest[len(authority) :]
    return path if path.startswith(b"/") else b"/" + path
