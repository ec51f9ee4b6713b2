"""What a peer's HTTP answer holds: its body within bounds, and its JSON."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Any, Final

from app.protocol.errors import RelayError
from blackbox_relay import exact_json

if TYPE_CHECKING:
    import httpx

# The content codings that are registered (IANA, HTTP Content Coding Registry) and change a body.
# Other words are no coding at all: servers write `none`, `utf-8` or nothing there.
CODINGS: Final = frozenset(
    {
        "aes128gcm",
        "br",
        "compress",
        "dcb",
        "dcz",
        "deflate",
        "exi",
        "gzip",
        "pack200-gzip",
        "x-compress",
        "x-gzip",
        "zstd",
    }
)


class AnswerRefused(RelayError):  # noqa: N818 - what happened, as in the error tree
    """An answer cannot be used. `cause` is a word for logs, from a closed set."""

    cause = "answer_not_json"


class ResponseTooLarge(AnswerRefused):
    """An answer was larger than its bound."""

    cause = "answer_too_large"


class ResponseCompressed(AnswerRefused):
    """An answer was compressed, although no compression was accepted."""

    cause = "answer_compressed"


class NotJson(AnswerRefused):
    """An answer is no JSON that can be read whole."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


async def read_bounded(response: httpx.Response, limit: int) -> bytes:
    """Read the body of a streamed response, at most `limit` bytes, without a byte order mark.

    Raises ResponseTooLarge, and ResponseCompressed where there is a body and it is compressed.
    RFC 8259 §8.1 lets a reader ignore a byte order mark.
    """
    compressed = is_compressed(response.headers.get("content-encoding", ""))
    body = bytearray()
    async for part in response.aiter_raw():
        body += part
        if body and compressed:
            raise ResponseCompressed("the answer is compressed, which was not asked for")
        if len(body) > limit:
            raise ResponseTooLarge("the answer is too large")
    return bytes(body).removeprefix(codecs.BOM_UTF8)


def is_compressed(content_encoding: str) -> bool:
    """Tell whether a Content-Encoding (RFC 9110 §8.4) names a coding that changes the body."""
    words = (word.strip().lower() for word in content_encoding.split(","))
    return any(word in CODINGS for word in words)


def json_of(body: bytes) -> Any:
    """Read a body as JSON, integers to the digit; raises NotJson, which says what it is instead."""
    try:
        return exact_json.loads(body)
    except exact_json.NumberTooLarge:
        raise NotJson("number_too_large") from None
    except ValueError:
        raise NotJson("answer_not_json" if _is_utf8(body) else "answer_not_utf8") from None


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in body[:4]  # UTF-16 and UTF-32 of ASCII are UTF-8 with zeros
