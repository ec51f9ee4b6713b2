"""Outgoing HTTP to addresses that an operator names: webhooks, forward-auth, results.

A URL in a configuration may lead to a private address by mistake, by a hostile DNS answer or by a
redirect. Callers use `guarded_client`, which looks at the address before it connects.
"""

from app.egress.addresses import AllowedHosts, EgressRefused
from app.egress.answers import (
    AnswerRefused,
    NotJson,
    ResponseCompressed,
    ResponseTooLarge,
    json_of,
    read_bounded,
)
from app.egress.causes import FAILURES, CertificateRefused, cause_of
from app.egress.resolve import Resolve, checked_addresses, system_resolve
from app.egress.ssrf_guard import guarded_client, guarded_transport

__all__ = [
    "FAILURES",
    "AllowedHosts",
    "AnswerRefused",
    "CertificateRefused",
    "EgressRefused",
    "NotJson",
    "Resolve",
    "ResponseCompressed",
    "ResponseTooLarge",
    "cause_of",
    "checked_addresses",
    "guarded_client",
    "guarded_transport",
    "json_of",
    "read_bounded",
    "system_resolve",
]
