"""Agents and tenants from changed files, without a restart: all of a change, or nothing of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog

from app.bootstrap import config, tenants, vendor_parts
from app.protocol.errors import ConfigurationError
from app.relay.guardrail_spec import guardrail_specs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from app.bootstrap.parts import Application
    from app.settings import Settings
    from app.telemetry.logs import Redactor

log = structlog.get_logger(__name__)

POLL: Final = 2.0
"""Seconds between two looks at the files."""

RELOADED: Final = ("agents", "tenants")
MAX_NAMES: Final = 50
"""Names of agents or tenants on a log line."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where configuration comes from: `read` reads it anew and raises ConfigurationError.

    `files` are those whose change is a reason to; `lined` adds to a fault where it is in them.
    """

    read: Callable[[], Settings]
    files: Sequence[Path] = ()
    lined: Callable[[list[str]], list[str]] = list


class Reloader:
    """Takes changed agents and tenants over while `run` runs; live sessions keep what they have.

    `redactor` learns of new secrets before anything else does.
    """

    def __init__(
        self, built: Application, settings: Settings, source: Source, redactor: Redactor
    ) -> None:
        self._built = built
        self._settings = settings
        self._source = source
        self._redactor = redactor
        self._asked = asyncio.Event()
        self._seen = self._stats()
        for outcome in ("applied", "unchanged", "refused"):
            built.metrics.config_reloads_total.labels(outcome)

    def ask(self) -> None:
        """Reload soon: a signal asks for it."""
        self._asked.set()

    async def run(self) -> None:
        """Reload when asked, or when a file has changed, until cancelled; never raises."""
        while True:
            try:
                async with asyncio.timeout(POLL):
                    await self._asked.wait()
            except TimeoutError:
                if (seen := self._stats()) == self._seen:
                    continue
                self._seen = seen
            self._asked.clear()
            await self.reload()

    async def reload(self) -> str:
        """Reload once; returns the outcome, which is also counted."""
        self._seen = self._stats()
        try:
            # In a thread: reading a long YAML text takes its time.
            read = await asyncio.to_thread(self._source.read)
            outcome = await self._take(read)
        except ConfigurationError as error:
            outcome = "refused"
            tell_refusal(self._source, error)
        except Exception:
            outcome = "refused"
            log.exception("config_reload_failed", advice="nothing has changed")
        self._built.metrics.config_reloads_total.labels(outcome).inc()
        return outcome

    async def _take(self, read: Settings) -> str:
        """Build everything from the new settings, and only then put it in place."""
        before = self._settings
        _tell_of_others(before, read)
        after = reloaded(before, read)
        if all(getattr(before, name) == getattr(after, name) for name in RELOADED):
            log.info("config_unchanged")
            return "unchanged"
        self._redactor.learn(after.secrets)
        built, agents = self._built, self._built.agents
        config.require_approved_tools(after, frozenset(built.tool_set.registry))
        guardrail_specs(after.guardrails, after.agents)  # one may name an agent that is gone
        profiles = config.profiles(after)
        vendor = vendor_parts.vendor(after, agents.out, built.vendor_tokens.current)
        dependencies = agents.make(after, vendor.endpoints)
        accounts, by_token = vendor_parts.accounts(after), vendor_parts.by_token(vendor)
        access, owned = tenants.access(after), tenants.tenants(after)
        keys = tenants.keyring(after, agents.out, built.keyring)
        # From here on nothing can fail, and nothing else runs in between.
        agents.dependencies.replace(dependencies)
        agents.by_token.replace(by_token)
        agents.accounts.replace(accounts)
        built.vendor_tokens.replace(vendor.tokens)
        unused = built.token_keeper.keep(vendor.tokens.values(), vendor.client)
        built.integrations.forget(changed_members(before.agents, after.agents))
        built.profiles.replace(profiles)
        built.tenants.replace(owned)
        built.tenancy.replace(access)
        unused += built.keyring.replace(keys)
        self._settings = after
        log.info("config_reloaded", **_changes(before, after))
        for client in unused:
            await client.aclose()
        return "applied"

    def _stats(self) -> tuple[tuple[int, int, int] | None, ...]:
        """What tells that a file is another one: a mounted one is replaced as a whole."""
        return stamps(self._source.files)


def reloaded(before: Settings, read: Settings) -> Settings:
    """What a reload makes of these settings: agents and tenants are others, all else stays."""
    return before.model_copy(update={name: getattr(read, name) for name in RELOADED})


def tell_refusal(source: Source, error: ConfigurationError) -> None:
    """Log every fault, with its line where it is in one of the files."""
    faults = [fault for fault in error.faults if " (line " not in fault]
    lined = dict(zip(faults, source.lined(faults), strict=True))
    for fault in (lined.get(each, each) for each in error.faults[:MAX_NAMES]):
        log.warning("config_reload_refused", fault=fault, advice="nothing has changed")


def stamps(files: Iterable[Path]) -> tuple[tuple[int, int, int] | None, ...]:
    """What changes with these files; None for one that is not there."""
    return tuple(_stat(path) for path in files)


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _tell_of_others(before: Settings, read: Settings) -> None:
    """Name what has changed besides, which only a restart takes over."""
    names = [
        f"RELAY_{name.upper()}"
        for name in type(read).model_fields
        if name not in RELOADED and getattr(before, name) != getattr(read, name)
    ]
    if names:
        log.warning("config_change_needs_restart", variables=", ".join(names))


def changed_members(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[str]]:
    """The members that differ, of every entry that is in both."""
    found = {}
    for name in before.keys() & after.keys():
        old, new = before[name] or {}, after[name] or {}
        members = sorted(member for member in {*old, *new} if old.get(member) != new.get(member))
        if members:
            found[str(name)] = members
    return found


def _changes(before: Settings, after: Settings) -> dict[str, Any]:
    """Names of what was added, removed and changed, never a value."""
    told: dict[str, Any] = {}
    for kind in RELOADED:
        old, new = getattr(before, kind), getattr(after, kind)
        for what, names in (
            ("added", sorted(map(str, new.keys() - old.keys()))),
            ("removed", sorted(map(str, old.keys() - new.keys()))),
        ):
            if names:
                told[f"{kind}_{what}"] = ", ".join(names[:MAX_NAMES])
        changed = changed_members(old, new)
        if changed:
            members = sorted(f"{name}.{each}" for name, some in changed.items() for each in some)
            told[f"{kind}_changed"] = ", ".join(members[:MAX_NAMES])
    return told
