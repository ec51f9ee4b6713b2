"""`python -m tests.scale`: many simulated replicas on a real Redis Cluster of six servers."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from tests.proof.report import ROOT, commit, machine
from tests.scale.picture import draw
from tests.scale.plan import CAPS
from tests.scale.run import Options, Run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.scale", description=__doc__)
    parser.add_argument("--sessions", type=int, default=100_000, help="places to be filled")
    parser.add_argument("--seconds", type=float, default=1800.0, help="the time for all of it")
    parser.add_argument("--replicas", type=int, default=400)
    parser.add_argument("--workers", type=int, default=4, help="processes that share the replicas")
    parser.add_argument("--lease", type=float, default=15.0)
    parser.add_argument("--refresh", type=float, default=60.0, help="seconds between refreshes")
    parser.add_argument("--quiet", type=float, default=15.0, help="seconds of silence")
    parser.add_argument("--report", type=Path, default=ROOT / "docs" / "scale.json")
    given = vars(parser.parse_args())
    path: Path = given.pop("report")
    options = Options(**given)
    # Servers and processes are ended on the way out, whatever ends this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    began, about, code = time.monotonic(), machine(), commit()
    run = Run(options)
    run.all_phases()
    report = {
        "sessions": options.sessions,
        "replicas": options.replicas,
        "processes": options.workers,
        "lease": options.lease,
        "refresh": options.refresh,
        "caps": {"subject": CAPS.per_subject, "address": CAPS.per_address},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": code,
        "machine": about,
        "seconds": round(time.monotonic() - began, 1),
        "faults": run.faults,
    } | run.report
    path.write_text(json.dumps(report, indent=2) + "\n")
    path.with_suffix(".svg").write_text(draw(report))
    print(json.dumps(report, indent=2))
    return 1 if run.faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
