"""One run: who is started when, in which order they take turns, what happens on a fault."""

from __future__ import annotations

import datetime as dt
import ipaddress
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.bench import peers as peers_
from tests.bench import stages
from tests.bench.load import Load
from tests.bench.machine import Busy, Cores
from tests.bench.peers import Browser, Launch, Peer, Wiring
from tests.bench.process import Fault, Process
from tests.bench.progress import Progress, readable, steps
from tests.bench.quiet import Quiet
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.bench.stages import Plan

DIRECT = "direct"

Samples = dict[str, dict[str, list[float]]]


@dataclass(slots=True)
class Outcome:
    """What came out: samples by peer and figure, faults by peer, how quiet the machine was.

    `omitted`: steps for which there was no time.
    """

    samples: Samples = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    faults: dict[str, str] = field(default_factory=dict)
    omitted: list[str] = field(default_factory=list)
    seconds: float = 0
    elsewhere: float = 0

    def add(self, peer: str, figures: dict[str, float]) -> None:
        """Take one turn's figures."""
        for name, value in figures.items():
            self.samples[peer][name].append(value)


class Run:
    """Starts everything, lets the relays take turns, and ends everything."""

    def __init__(
        self, cores: Cores, peers: Sequence[Peer], plan: Plan, patience: float = 0
    ) -> None:
        self._cores = cores
        self._peers = list(peers)
        self._plan = plan
        self._outcome = Outcome()
        self._quiet = Quiet(patience)
        self._patience = patience
        self._progress = Progress(steps(plan, peers))
        self._terminators: list[Process] = []
        self._stack = ExitStack()
        self._ports: dict[str, int] = {}
        self._started = time.monotonic()

    def run(self) -> Outcome:
        """Do all of it. Faults end a peer's part, not the run."""
        started, before = self._started, Busy.now()
        self._announce()
        with self._stack:
            self._prepare()
            self._rounds()
            for turn in self._while_time("growth", self._plan.limit):
                for peer in self._turns(turn, [p for p in self._peers if p.growths > turn]):
                    self._guarded(peer, "growth", f"growth {turn + 1}", self._growth)
        self._progress.close()
        self._outcome.seconds = time.monotonic() - started
        self._outcome.elsewhere = before.elsewhere(Busy.now(), self._outcome.seconds)
        return self._outcome

    def _announce(self) -> None:
        """Say what is done, and how long that takes."""
        turns = f"rounds: {self._plan.rounds}, of growth: {self._plan.growth_rounds}"
        busy = f", {self._patience:.0f} s more on a busy machine" if self._patience else ""
        last = readable(self._plan.limit).removeprefix("about ")
        told = f"{len(self._peers)} relays; {turns}; {readable(self._progress.seconds)}{busy}; "
        told += f"no step begins after {last}"
        self._progress.say(told)

    def _prepare(self) -> None:
        self._room = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        self._room.chmod(0o755)  # a server that gives up root must find its files
        self._certificate = certificate(self._room)
        self._load = self._stack.enter_context(Load(self._cores.load))
        names = [DIRECT, *(peer.name for peer in self._peers)]
        plain = dict(zip(names, self._load.listen(len(names)), strict=True))
        for peer in self._peers:
            self._ports[peer.name] = plain[peer.name]
            if peer.tls:
                self._ports[peer.name] = self._terminate(peer.name, plain[peer.name])
        self._ports[DIRECT] = plain[DIRECT]

    def _terminate(self, name: str, upstream: int) -> int:
        port = free_port()
        room = self._room / f"tls-{name}"
        room.mkdir()
        pem = self._certificate.with_suffix(".both.pem")
        launch = peers_.terminator(Wiring(port, upstream, tls=True, room=room, certificate=pem))
        process = self._start(launch, room / "log", self._cores.load, self._stack)
        process.wait_listening(port)
        self._terminators.append(process)
        return port

    def _rounds(self) -> None:
        """Everybody is started once and idles while others have their turn."""
        with ExitStack() as stack:
            entered: dict[str, tuple[Process, int]] = {}
            in_rounds = [peer for peer in self._peers if peer.rounds]
            for peer in in_rounds:
                self._guarded(peer, "start", "start", lambda p: self._enter(p, stack, entered))
            for turn in self._while_time("round", self._plan.limit * 0.6):
                self._load.target(self._ports[DIRECT], Browser())
                self._load.open(stages.SESSIONS)
                direct = stages.pace(self._load, self._plan)
                direct |= {f"{name}_backlog": direct[name] for name in ("p50", "p99")}
                self._load.open(self._plan.crowd - stages.SESSIONS)
                direct |= stages.crowd(self._load, self._plan)
                self._load.close()
                self._outcome.add(DIRECT, direct)
                for peer in self._turns(turn, in_rounds):
                    step = partial(self._turn, entered=entered, direct=direct)
                    self._guarded(peer, "round", f"round {turn + 1}", step)

    def _enter(self, peer: Peer, stack: ExitStack, entered: dict[str, tuple[Process, int]]) -> None:
        process, port = self._launch(peer, stack)
        self._target(peer, port, stages.SESSIONS)
        self._load.open(stages.SESSIONS)
        stages.heat(self._load, self._plan)
        self._load.close()
        entered[peer.name] = process, port

    def _turn(
        self, peer: Peer, entered: dict[str, tuple[Process, int]], direct: dict[str, float]
    ) -> None:
        process, port = entered[peer.name]
        process.check_alive()

        def step() -> dict[str, float]:
            self._target(peer, port, stages.SESSIONS)
            self._load.open(stages.SESSIONS)
            paced = stages.pace(self._load, self._plan)
            figures = stages.saturate(self._load, process, self._plan)
            if peer.backlog:
                paced |= stages.catch_up(self._load, self._plan)
            if peer.kinds:
                figures |= stages.vary(self._load, process, self._plan)
            if peer.crowd:
                self._target(peer, port, self._plan.crowd - stages.SESSIONS)
                self._load.open(self._plan.crowd - stages.SESSIONS)
                paced |= stages.crowd(self._load, self._plan)
            self._load.close()
            process.settle()
            added = {
                f"{name}_added": paced[name] - direct[name] for name in paced if name != "late"
            }
            return figures | paced | added

        self._outcome.add(peer.name, self._quiet.measured(step, partial(self._own_cpu, process)))

    def _own_cpu(self, *processes: Process) -> int:
        ours = sum(process.cpu_ns() for process in (*processes, *self._terminators))
        return ours + self._load.cpu_ns() + time.process_time_ns()

    def _target(self, peer: Peer, port: int, count: int) -> None:
        """Let the browsers dial this relay; where it wants tickets, so many sessions have one.

        The sessions that are open stay as they are.
        """
        browser = peer.browser
        if browser.tickets:
            browser = replace(browser, credentials=peers_.mint(port, count))
        self._load.target(port, browser)

    def _growth(self, peer: Peer) -> None:
        most = min(peer.most, self._plan.most)
        with ExitStack() as stack:
            process, port = self._launch(peer, stack)
            admit = partial(self._target, peer, port)
            figures = stages.grow(self._load, process, self._plan, most, admit)
        self._outcome.add(peer.name, figures)

    def _launch(self, peer: Peer, stack: ExitStack) -> tuple[Process, int]:
        port = free_port()
        room = Path(tempfile.mkdtemp(prefix=f"{peer.name}-", dir=self._room))
        room.chmod(0o755)
        wiring = Wiring(port, self._ports[peer.name], peer.tls, room, self._certificate)
        process = self._start(peer.launch(wiring), room / "log", self._cores.relay, stack)
        process.wait_listening(port)
        return process, port

    @staticmethod
    def _start(launch: Launch, log: Path, core: int, stack: ExitStack) -> Process:
        return stack.enter_context(Process(launch.argv, core=core, log=log, env=launch.env))

    def _guarded(self, peer: Peer, kind: str, what: str, step: Callable[[Peer], None]) -> None:
        if peer.name in self._outcome.faults:
            self._progress.skip(kind)
            return
        if time.monotonic() - self._started > self._plan.limit:
            self._outcome.omitted.append(f"{peer.name}, {what}")
            self._progress.say(f"no time for {peer.name}, {what}")
            self._progress.skip(kind)
            return
        try:
            with self._progress.step(kind, f"{what}: {peer.name}"):
                step(peer)
        except (Fault, OSError) as fault:  # a process that has ended has no /proc either
            self._outcome.faults[peer.name] = f"{what}: {fault}"
            self._progress.say(f"{peer.name} is out, {what}: {fault}")
            self._load.drop()

    def _while_time(self, kind: str, limit: float) -> Iterator[int]:
        """Count turns: at least one, and no further one that would end past the limit."""
        turns = self._plan.rounds if kind == "round" else self._plan.growth_rounds
        began = time.monotonic()
        for turn in range(turns):
            now = time.monotonic()
            if turn and now - self._started + (now - began) / turn > limit:
                self._progress.say(f"no time for more than {turn} of {turns} turns of {kind}")
                self._progress.skip_rest(kind)
                return
            yield turn

    @staticmethod
    def _turns(turn: int, peers: list[Peer]) -> list[Peer]:
        """Each round begins with another one, so that nobody always follows the same."""
        first = turn * 3 % len(peers) if peers else 0
        return peers[first:] + peers[:first]


def certificate(room: Path) -> Path:
    """Write a certificate for loopback that lives a day; with its key beside it for the server."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    loopback = ipaddress.ip_address("127.0.0.1")
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(loopback)]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = room / "upstream.pem"
    public = signed.public_bytes(serialization.Encoding.PEM)
    path.write_bytes(public)
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    both = path.with_suffix(".both.pem")
    both.write_bytes(public + secret)
    return path
