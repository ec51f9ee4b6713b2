"""What personal data looks like in a text: a function for each kind, which yields its places.

Every pattern has bounded repetitions or is applied where a cheap search has found its anchor, so
that the time grows with the length of the text alone. Texts come folded (`fold`), which keeps every
position.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Span = tuple[int, int]
"""Where it begins, and where it ends (exclusive)."""

_SPACES: Final = "\t\n\r\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
_MORE_SPACES: Final = "\u200a\u200b\u200c\u200d\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
_DASHES: Final = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u00ad"
_FOLDED: Final = (
    {ord(space): " " for space in _SPACES + _MORE_SPACES}
    | {ord(dash): "-" for dash in _DASHES}
    | {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}  # full-width forms
)


_ASCII_FOLDED: Final = ("\t", "\n", "\r")
_DIGITS: Final = tuple("0123456789")
_ANY_DIGIT: Final = re.compile(r"\d")


def fold(text: str) -> str:
    """Write spaces, dashes and full-width forms as ASCII, one character for each."""
    if text.isascii():
        # `translate` would look every character up; most texts hold none of these.
        for space in _ASCII_FOLDED:
            if space in text:
                text = text.replace(space, " ")
        return text
    return text.translate(_FOLDED)


_SHAPES: Final = bytes(
    48 if chr(code).isdigit() else 97 if chr(code).isalpha() else code for code in range(128)
).ljust(256, b".")
"""Each ASCII digit as `0`, each letter as `a`."""


def has_shape(text: str, shape: bytes, without: bytes = b"") -> bool:
    """Tell whether an ASCII text may hold such a row of letters (`a`) and digits (`0`).

    The characters of `without` are passed over. True for every other text with a digit in it. A
    byte of a text is looked up in a table ten times faster than a pattern looks at it.
    """
    if not has_digit(text):
        return False
    return not text.isascii() or shape in text.encode().translate(_SHAPES, without)


def has_digit(text: str) -> bool:
    """Tell whether a decimal digit of any script is in a text.

    Ten searches for one character each take a hundredth of the time of one for a class of them.
    """
    if text.isascii():
        return any(digit in text for digit in _DIGITS)
    return _ANY_DIGIT.search(text) is not None


_OPEN_END: Final = re.compile(
    r"(?:\+?\(?\d(?:[ ()./-]{0,2}\d){5,}[ ()./-]{0,2}"  # six digits or more of a number
    r"|[A-Za-z]{2}\d{2}[ -]?(?:[A-Za-z0-9]{1,4}[ -]?){1,7}"  # an account number
    r"|[^\s@]{1,64}@[^\s@]{0,255})\Z"  # an address
)


def open_end(text: str, begin: int) -> int:
    """Where, from `begin` on, the end of a text is what may be the beginning of a number.

    Or of an address. The length of the text where it is neither.
    """
    found = _OPEN_END.search(text, begin)
    return len(text) if found is None else found.start()


# It begins with what is looked for, and looks behind after it: `re` jumps from digit to digit then.
_DIGIT_RUN: Final = re.compile(r"\d(?<!\d\d)(?:[ .-]{0,2}\d){12,}(?!\d)")
_GROUP: Final = re.compile(r"\d+")
_CARD_DIGITS: Final = range(13, 20)  # ISO/IEC 7812-1; the shorter ones are not for payment
_MILLISECONDS: Final = 13  # digits of a Unix time in milliseconds, which begins with 1
_MOST_GROUPS: Final = 64
_MOST_IBANS: Final = 256
"""How much is looked at closely: what has more of it is masked by its shape alone."""


def cards(text: str) -> Iterator[Span]:
    """Payment card numbers: 13 to 19 digits, grouped or not, with a Luhn digit (ISO/IEC 7812-1).

    A number begins and ends where a group of digits does. A run of more than 64 groups is masked
    whole.
    """
    if not has_shape(text, b"0" * _CARD_DIGITS.start, b" .-"):
        return
    for run in _DIGIT_RUN.finditer(text):
        groups = [found.span() for found in _GROUP.finditer(text, *run.span())]
        if len(groups) > _MOST_GROUPS:
            yield run.span()
            continue
        first = 0
        while first < len(groups):
            last = _card_end(text, groups, first)
            if last is None:
                first += 1
            else:
                yield groups[first][0], groups[last][1]
                first = last + 1


def _card_end(text: str, groups: list[Span], first: int) -> int | None:
    """The last group of the longest card number that begins with group `first`."""
    digits, found = "", None
    for at in range(first, len(groups)):
        begin, end = groups[at]
        if len(digits) + end - begin >= _CARD_DIGITS.stop:
            break
        digits += text[begin:end]
        if len(digits) in _CARD_DIGITS and is_luhn(digits) and not _is_time(digits):
            found = at
    return found


def _is_time(digits: str) -> bool:
    return len(digits) == _MILLISECONDS and digits[0] == "1"


def is_luhn(digits: str) -> bool:
    """Tell whether the last digit is the Luhn digit of the others (ISO/IEC 7812-1, annex B)."""
    total = 0
    for at, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + at % 2)
        total += value - 9 if value > 9 else value  # noqa: PLR2004 - the sum of both digits
    return total % 10 == 0 and any(digit != "0" for digit in digits)


_IBAN: Final = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,30}")
_ALPHANUMERIC: Final = re.compile(r"[A-Za-z0-9]+")
_IBAN_SIZE: Final = range(15, 35)


def ibans(text: str) -> Iterator[Span]:
    """International bank account numbers by their check digits (ISO 13616, modulo 97).

    Behind 256 texts of that shape, every further one is masked unchecked.
    """
    if not has_shape(text, b"aa00"):
        return
    position = seen = 0
    while (found := _IBAN.search(text, position)) is not None:
        position = found.start() + 1
        seen += 1
        if seen > _MOST_IBANS:
            yield found.span()
            position = found.end()
            continue
        written, end = "", None
        for group in _ALPHANUMERIC.finditer(text, found.start()):
            written += group.group()
            if len(written) >= _IBAN_SIZE.stop:
                break
            if len(written) in _IBAN_SIZE and _is_iban(written):
                end = group.end()
            if text[group.end() : group.end() + 1] not in {" ", "-"}:
                break
        if end is not None:
            yield found.start(), end
            position = end


def _is_iban(written: str) -> bool:
    """Tell whether the check digits fit (ISO 13616, annex A): letters count from 10."""
    moved = written[4:] + written[:4]
    return int("".join(str(int(letter, 36)) for letter in moved)) % 97 == 1


_NOT_LOCAL: Final = frozenset(" @\"'(),:;<>[]\\")
_DOMAIN: Final = re.compile(r"[^\s@\"'(),:;<>\[\]\\/?#&=!%]{1,255}")
_LONGEST_LOCAL: Final = 64  # octets (RFC 5321 section 4.5.3.1.1)


def emails(text: str) -> Iterator[Span]:
    """E-mail addresses, those of other scripts (RFC 6531) included."""
    at = text.find("@")
    while at > -1:
        begin = at
        while begin > max(0, at - _LONGEST_LOCAL) and text[begin - 1] not in _NOT_LOCAL:
            begin -= 1
        domain = _DOMAIN.match(text, at + 1) if begin < at else None
        if domain is not None:
            name = domain.group().rstrip(".-_*~`|")
            if "." in name.strip("."):
                yield begin, at + 1 + len(name)
        at = text.find("@", at + 1)


_PHONES: Final = (
    # International, with + or 00 (ITU-T E.164: up to 15 digits).
    re.compile(r"(?<![\w+])(?:\+ ?|00(?=[ ()./-]?[1-9]))\(?[1-9](?:[ ()./-]{0,3}\d){6,14}(?!\d)"),
    # National with a trunk prefix; a date is shorter.
    re.compile(r"(?<![\w+./:-])\(?0\d{1,4}\)?(?:[ /-]{0,2}\d){6,10}(?![\d:])"),
    # North American, with or without 1.
    re.compile(
        r"(?<![\w+./:-])(?:1[ .-]?)?(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .-]?)[2-9]\d\d[ .-]?\d{4}(?!\w)"
    ),
    # An area code in parentheses.
    re.compile(r"(?<![\w+])(?:\d[ -]?)?\(\d{2,5}\) ?\d(?:[ -]?\d){4,8}(?!\d)"),
)
_SEVEN_DIGITS: Final = re.compile(r"\d(?:[ ()./-]{0,3}\d){6}")
_SHORTEST_PHONE: Final = 8
_SHORTEST_NATIONAL: Final = 9


def phones(text: str) -> Iterator[Span]:
    """Telephone numbers as people write them; a plain run of digits is one only in its form."""
    if not has_shape(text, b"0" * 7, b" ()./-") or _SEVEN_DIGITS.search(text) is None:
        return
    for pattern in _PHONES:
        shortest = _SHORTEST_NATIONAL if pattern is _PHONES[1] else _SHORTEST_PHONE
        for found in pattern.finditer(text):
            if sum(char.isdigit() for char in found.group()) >= shortest:
                yield found.span()


_SECRETS: Final = (
    re.compile(
        r"-----BEGIN[A-Z ]{0,40}PRIVATE KEY-----(?:(?!-----END)[\s\S]){0,16384}"
        r"(?:-----END[A-Z ]{0,40}-----)?"
    ),
    re.compile(r"(?<![\w-])eyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)?"),  # JWT (RFC 7519)
    # Keys whose issuers mark them by a prefix.
    re.compile(
        r"(?<![A-Za-z0-9])(?:(?:sk|pk|rk|ak)[-_][A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{20,}"
        r"|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abeprs]-[\w-]{10,}|A[KS]IA[0-9A-Z]{16}"
        r"|AIza[\w-]{30,}|whsec_[A-Za-z0-9+/=]{16,}|hf_[A-Za-z0-9]{20,})"
    ),
)
_VALUES: Final = (
    re.compile(r"(?i)(?<![\w-])bearer +(?P<value>[^\s,\"']{8,})"),
    re.compile(r"(?i)://[^/\s:@\"']{0,256}:(?P<value>[^/\s@\"']{1,256})(?=@)"),
    re.compile(
        r"(?i)(?:pass(?:word|wd|phrase|code)|pwd|secret|token|(?:api|access|private)[ _-]?key"
        r"|(?<![a-z])(?:pass|pin|cvv|cvc))[\"']? {0,2}"
        r"(?:[=:] {0,2}[\"']?(?P<value>[^\s\"',;&]{3,})|is {1,2}(?P<said>(?=\S{0,64}\d)\S{3,}))"
    ),
)


_WORDS: Final = ("pass", "pwd", "secret", "token", "key", "pin", "cvv", "cvc", "bearer", "://")
"""One of them is in every text that `_VALUES` finds something in."""


def secrets(text: str) -> Iterator[Span]:
    """Keys with a known prefix, JWTs, private keys, and what follows a word such as `password`."""
    for pattern in _SECRETS:
        for found in pattern.finditer(text):
            yield found.span()
    lowered = text.lower()
    if not any(word in lowered for word in _WORDS):
        return
    for pattern in _VALUES:
        for found in pattern.finditer(text):
            name = "value" if found["value"] is not None else "said"
            yield found.span(name)


SECRET_MEMBERS: Final = frozenset(
    (
        *("password", "passwd", "passphrase", "passcode", "pwd", "secret", "token", "apikey"),
        *("accesstoken", "refreshtoken", "idtoken", "accesskey", "privatekey", "clientsecret"),
        *("authorization", "pin", "cvv", "cvc", "cvv2", "cvc2"),
    )
)
"""Names of JSON members whose value is a secret; in lower case, without `_` and `-`."""

RULES: Final[dict[str, Callable[[str], Iterator[Span]]]] = {
    "secret": secrets,
    "email": emails,
    "iban": ibans,
    "card": cards,
    "phone": phones,
}
"""By the names in `RELAY_REDACT`; where two find the same place, the first one names it."""
