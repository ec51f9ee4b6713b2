"""A closed set of dataclasses as JSON objects, told apart by one member: what replicas exchange."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")


class TaggedJson(Generic[T]):
    """Writes and reads the dataclasses `kinds`, by their names in the member `tag`.

    Every member is a string, unless `types` gives its JSON type. A member that an earlier release
    does not write needs a default; one with a default factory must be there.
    """

    def __init__(
        self, tag: str, kinds: Mapping[str, type[T]], types: Mapping[str, type[Any]]
    ) -> None:
        self._tag = tag
        self._kinds = kinds
        self._types = types
        self._names = {kind: name for name, kind in kinds.items()}

    def name_of(self, value: T) -> str:
        """The name of a value's kind: one of a closed set."""
        return self._names[type(value)]

    def write(self, value: T) -> dict[str, Any]:
        """Return a value as a JSON object."""
        return {self._tag: self.name_of(value), **_members(value)}

    def read(self, document: object) -> T | None:
        """Read an object; None if it is none that this release knows, and for anything else."""
        if not isinstance(document, dict):
            return None
        kind = self._kinds.get(str(document.get(self._tag)))
        if kind is None:
            return None
        content = {
            item.name: document.get(item.name, None if item.default is MISSING else item.default)
            for item in fields(kind)  # type: ignore[arg-type]
        }
        if any(type(value) is not self._types.get(name, str) for name, value in content.items()):
            return None
        build: Callable[..., T] = kind
        return build(**content)


def _members(value: Any) -> dict[str, Any]:
    return {item.name: getattr(value, item.name) for item in fields(value)}
