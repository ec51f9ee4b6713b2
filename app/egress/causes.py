"""Why a request failed, as a word that leads to what is wrong: a closed set, for logs."""

from __future__ import annotations

import ssl
from typing import Final

import httpx

from app.egress.addresses import EgressRefused
from app.egress.answers import AnswerRefused


class CertificateRefused(httpx.ConnectError):
    """The peer's TLS certificate is not trusted, or is another name's."""


FAILURES: Final = (TimeoutError, httpx.HTTPError, EgressRefused, AnswerRefused)
"""What a request by a guarded client and the reading of its answer may raise."""


def cause_of(error: BaseException) -> str:
    """Name the cause of one of `FAILURES`; its text may hold a URL and is never used."""
    if isinstance(error, AnswerRefused):
        return error.cause
    if isinstance(error, EgressRefused):
        return "address_not_allowed"
    if isinstance(error, (TimeoutError, httpx.TimeoutException)):
        return "timeout"
    if isinstance(error, CertificateRefused):
        return "certificate_not_trusted"
    if isinstance(error, httpx.RemoteProtocolError):
        return "answer_not_http"
    return "unreachable"


def is_certificate_error(error: BaseException) -> bool:
    """Tell whether a peer's certificate is at the bottom of an error, eight causes down at most."""
    cause: BaseException | None = error
    for _ in range(8):
        if cause is None or isinstance(cause, ssl.SSLCertVerificationError):
            break
        cause = cause.__cause__ or cause.__context__
    return isinstance(cause, ssl.SSLCertVerificationError)
