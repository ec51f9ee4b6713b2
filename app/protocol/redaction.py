"""Masks personal data in what is kept and shown; what is relayed is never touched.

A mask is `[card]`, `[iban]`, `[email]`, `[phone]`, `[secret]`, or `[redacted]` for a pattern of the
operator's. Those are RE2's regular expressions: their time is linear in the length of the text,
whatever the pattern. Pure: values in, values out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from app.protocol.errors import RelayError
from app.protocol.redaction_rules import RULES, SECRET_MEMBERS, Span, fold, open_end
from blackbox_relay import exact_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Finder = Callable[[str], Iterator[Span]]

MAX_PATTERNS: Final = 64
MAX_PATTERN: Final = 1000
"""How many patterns there may be, and the characters of each."""

CUSTOM: Final = "redacted"
CUT: Final = "…"
UNFINISHED: Final = "…"
LONGEST_END: Final = 320
"""Characters before a cut in which a number or an address may have begun."""

WITHHELD: Final = "[redacted]"
"""What stands for a value that cannot be looked through, as one that is nested too deeply."""


class InvalidRule(RelayError, ValueError):  # noqa: N818 - what it is
    """A rule is none; the message says what is wrong, without the rule itself."""


def split_rules(written: str) -> tuple[str, ...]:
    r"""Split a comma list; a comma within `/…/` does not part, `\/` is a slash of the pattern."""
    rules: list[str] = []
    rest = written
    while rest := rest.strip(" ,\t\n\r"):
        end = _pattern_end(rest) if rest[0] == "/" else rest.find(",")
        end = len(rest) if end < 0 else end
        rules.append(rest[:end].strip())
        rest = rest[end:]
    return tuple(rules)


def _pattern_end(text: str) -> int:
    """Where a pattern ends that begins with the first character; -1 where it does not end."""
    at = 1
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == "/":
            return at + 1
        at += 1
    return -1


def faults_of(rules: Sequence[str]) -> list[str]:
    """Say which rules are none: their position, from 1, and why."""
    faults = []
    if len(rules) > MAX_PATTERNS:
        faults.append(f"holds more than {MAX_PATTERNS} rules")
    for number, rule in enumerate(rules[:MAX_PATTERNS], 1):
        try:
            _finder(rule)
        except InvalidRule as fault:
            faults.append(f"item {number} {fault}")
    return faults


class Redaction:
    """Masks by `rules`, as `split_rules` returns them. Raises `InvalidRule`."""

    __slots__ = ("_finders", "_hides_members")

    def __init__(self, rules: Sequence[str]) -> None:
        ordered = sorted(set(rules), key=_rank)
        self._finders: tuple[tuple[str, Finder], ...] = tuple(_finder(rule) for rule in ordered)
        self._hides_members = "secret" in rules

    def spans(self, text: str) -> list[tuple[int, int, str]]:
        """Where something is to be masked, in order and without overlap: begin, end, label.

        Where two finds overlap they become one, under the label of the rule that comes first.
        """
        folded = fold(text)
        found: list[tuple[int, int, int]] = []
        for rank, (_, finder) in enumerate(self._finders):
            found += ((begin, end, rank) for begin, end in finder(folded) if end > begin)
        found.sort()
        merged: list[tuple[int, int, int]] = []
        for begin, end, rank in found:
            if merged and begin < merged[-1][1]:
                first, last, best = merged[-1]
                merged[-1] = (first, max(last, end), min(best, rank))
            else:
                merged.append((begin, end, rank))
        return [(begin, end, self._finders[rank][0]) for begin, end, rank in merged]

    def mask(self, text: str) -> str:
        """Return a text with everything masked that a rule finds.

        Of one that was cut, and ends in `…`, also what may be the beginning of a number there.
        """
        spans = self.spans(text)
        if text.endswith(CUT):
            end = len(text) - len(CUT)
            settled = max((last for _, last, _ in spans), default=0)
            begin = open_end(fold(text[:end]), max(settled, end - LONGEST_END))
            if begin < end:
                spans.append((begin, end, UNFINISHED))
        return masked(text, spans)

    def mask_value(self, value: Any) -> Any:
        """Return a JSON value masked: its strings, its numbers, and its members' names.

        A number that is masked becomes a string. A member whose name says that it holds a secret
        (`password`) is masked whole where `secret` is a rule.
        """
        try:
            return self._masked(value)
        except RecursionError:
            return WITHHELD

    def mask_json(self, document: bytes) -> bytes:
        """Return a JSON document masked; one that cannot be read is masked as a text."""
        try:
            return exact_json.dumps(self.mask_value(exact_json.loads_all(document)))
        except ValueError:
            return self.mask(document.decode(errors="replace")).encode()

    def _masked(self, value: Any) -> Any:
        kind = type(value)
        if kind is str:
            return self.mask(value)
        if kind is dict:
            return self._masked_members(value)
        if kind is list or kind is tuple:
            return [self._masked(item) for item in value]
        if kind is int or kind is float:
            return self._masked_number(value)
        return value

    def _masked_number(self, number: float) -> Any:
        """Mask a number; the digits of a fraction are no card's and no telephone's."""
        whole = type(number) is int or number.is_integer()
        written = str(int(number)) if whole else str(number)
        if not whole and all(label != CUSTOM for _, _, label in self.spans(written)):
            return number
        shown = self.mask(written)
        return number if shown == written else shown

    def _masked_members(self, members: dict[Any, Any]) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for key, item in members.items():
            name = unique = self.mask(str(key))
            number = 1
            while unique in shown:
                number += 1
                unique = f"{name} {number}"
            hidden = self._hides_members and _is_secret(name) and item not in (None, "")
            shown[unique] = "[secret]" if hidden else self._masked(item)
        return shown


def masked(text: str, spans: Sequence[tuple[int, int, str]]) -> str:
    """Replace the spans of a text, which are in order, by their labels."""
    if not spans:
        return text
    parts: list[str] = []
    position = 0
    for begin, end, label in spans:
        parts += (text[position:begin], f"[{label}]")
        position = end
    parts.append(text[position:])
    return "".join(parts)


def _is_secret(name: str) -> bool:
    return name.lower().replace("_", "").replace("-", "") in SECRET_MEMBERS


def _rank(rule: str) -> tuple[int, str]:
    """The operator's own patterns come first: they are meant the most exactly."""
    names = list(RULES)
    return (names.index(rule) + 1 if rule in RULES else 0, rule)


def _finder(rule: str) -> tuple[str, Finder]:
    if rule in RULES:
        return rule, RULES[rule]
    if not rule.startswith("/"):
        raise InvalidRule(f"is none of {', '.join(sorted(RULES))}, and no /pattern/")
    if _pattern_end(rule) != len(rule) or len(rule) < len("/x/"):
        raise InvalidRule("is a pattern without its closing /, or with something behind it")
    return CUSTOM, _pattern(rule[1:-1])


def _pattern(pattern: str) -> Finder:
    """Compile a pattern of RE2's. Raises `InvalidRule`."""
    if len(pattern) > MAX_PATTERN:
        raise InvalidRule(f"is longer than {MAX_PATTERN} characters")
    import re2  # noqa: PLC0415 - only needed where a pattern is configured

    options = re2.Options()
    options.log_errors = False  # it would write the pattern to standard error
    try:
        compiled = re2.compile(pattern, options)
    except re2.error:
        raise InvalidRule(
            "is no regular expression of RE2 (which knows no look-around and no back-references)"
        ) from None
    if compiled.search("") is not None:
        raise InvalidRule("matches the empty text")

    def found(text: str) -> Iterator[Span]:
        for match in compiled.finditer(text):
            begin, end = match.span()
            yield begin, end

    return found
