"""`python -m tests.bench`: the gateway and its peers, side by side in one run."""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import os
import signal
import sys
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from tests.bench import extras, machine
from tests.bench.figures import Report, Spread, with_worst
from tests.bench.peers import Peer, all_peers
from tests.bench.picture import draw
from tests.bench.process import Fault
from tests.bench.profile import profiled
from tests.bench.publish import publish
from tests.bench.run import DIRECT, Outcome, Run
from tests.bench.stages import Plan
from tests.bench.table import render

if TYPE_CHECKING:
    from collections.abc import Sequence

BASELINE: Final = Path(__file__).parent / "baseline.json"
RESULTS: Final = Path(__file__).parent / "results"
# One of each kind.
QUICK: Final = (
    "nginx",
    "haproxy",
    "gateway",
    "gateway-source",
    "node",
    "aiohttp-uvloop",
    "fastapi",
)
PICTURE: Final = Path(__file__).parents[2] / "docs" / "bench.svg"


def main(argv: Sequence[str] | None = None) -> int:
    """Run, print, keep. Status 1: somebody was out; 2: something is not installed."""
    options = _options(argv)
    if options.redraw:
        report = Report.read(options.redraw)
        print(render(report))
        _draw(report, options.picture or PICTURE)
        if options.redraw.resolve() == BASELINE:
            publish(report)
        return 0
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        machine.raise_limits()
        cores = machine.choose_cores()
        with ExitStack() as stack:
            os.sched_setaffinity(0, {cores.load})
            peers = _chosen(options)
            whole = not (options.only or options.quick or options.profile)
            also = options.also or (extras.USUAL if whole else ())
            peers += extras.started(also, cores.load, stack)
            if options.profile:
                peers = [profiled(peer, RESULTS) for peer in peers]
            plan = _plan(options)
            patience = options.patience
            if patience is None:
                patience = 0 if options.quick else 60
            outcome = Run(cores, peers, plan, patience).run()
    except machine.Missing as missing:
        print(missing, file=sys.stderr)
        return 2
    except Fault as fault:
        print(f"\n{fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; nothing was left running", file=sys.stderr)
        return 130
    report = _report(outcome, peers, plan)
    print(render(report))
    _keep(report, options, whole=whole)
    return 1 if outcome.faults else 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    names = ", ".join(peer.name for peer in all_peers())
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"does it all turn? a short round of {', '.join(QUICK)}",
    )
    parser.add_argument("--rounds", type=int, help="rounds (default 3)")
    parser.add_argument(
        "--patience", type=float, help="seconds to wait for quiet moments, in all (60; quick: 0)"
    )
    parser.add_argument("--only", help=f"comma list of {names}")
    parser.add_argument("--also", nargs="+", choices=extras.NAMES, help="more rows of the gateway")
    parser.add_argument("--no-growth", action="store_true", help="leave out memory and set-up")
    parser.add_argument("--profile", action="store_true", help="cProfile the Python relays")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--picture", type=Path, help=f"where to draw (a full run: {PICTURE.name})")
    parser.add_argument("--redraw", type=Path, help="print and draw a kept run, measure nothing")
    return parser.parse_args(argv)


def _chosen(options: argparse.Namespace) -> list[Peer]:
    peers = {peer.name: peer for peer in all_peers()}
    if not options.only:
        for program in ("nginx", "haproxy", "node"):
            machine.find(program)
        return [peers[name] for name in QUICK] if options.quick else list(peers.values())
    names = options.only.split(",")
    unknown = [name for name in names if name not in peers]
    if unknown:
        raise Fault(f"nobody is called {', '.join(unknown)}; there are {', '.join(peers)}")
    return [peers[name] for name in names]


def _plan(options: argparse.Namespace) -> Plan:
    plan = Plan.quick() if options.quick else Plan()
    if options.rounds:
        plan = replace(plan, rounds=options.rounds, growth_rounds=min(options.rounds, 2))
    return replace(plan, growth_rounds=0) if options.no_growth or options.profile else plan


def _report(outcome: Outcome, peers: Sequence[Peer], plan: Plan) -> Report:
    titles = {peer.name: peer.title for peer in peers}
    figures = {
        peer: with_worst({name: Spread.of(values) for name, values in samples.items()})
        for peer, samples in outcome.samples.items()
    }
    return Report(
        date=f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC",
        machine=machine.describe(),
        plan=asdict(plan),
        titles={DIRECT: "no relay", **titles},
        figures=figures,
        faults=outcome.faults,
        seconds=outcome.seconds,
        elsewhere=outcome.elsewhere,
    )


def _keep(report: Report, options: argparse.Namespace, *, whole: bool) -> None:
    name = report.date.replace(" UTC", "").replace(" ", "T").replace(":", "")
    report.write(RESULTS / f"{name}.json")
    print(f"kept in tests/bench/results/{name}.json")
    if options.json:
        report.write(options.json)
    if whole and not report.faults:
        report.write(BASELINE)
        publish(report)
        print(f"renewed: {BASELINE.name}, README.md, deploy/capacity.json, deploy/CAPACITY.md")
    if options.picture or (whole and not report.faults):
        _draw(report, options.picture or PICTURE)


def _draw(report: Report, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(draw(report))
    print(f"drawn in {path}")


def _interrupt(*_: object) -> NoReturn:
    """Leave by the ordinary way out, which ends what was started; no second one cuts that short."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
