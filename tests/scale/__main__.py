"""`python -m tests.scale`: many simulated replicas on a real Redis Cluster of six servers.

SIGINT and SIGTERM end it with a report of what was reached; a second one ends it at once.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.proof.report import ROOT, commit, machine
from tests.scale.options import Options, replicas_for
from tests.scale.picture import draw
from tests.scale.plan import CAPS
from tests.scale.run import SIGNALS, Run


def options() -> tuple[Options, Path]:
    """What the command line asks for, and where the report goes."""
    parser = argparse.ArgumentParser(prog="python -m tests.scale", description=__doc__)
    parser.add_argument("--sessions", type=int, default=100_000, help="places to be filled")
    parser.add_argument("--seconds", type=float, default=1800.0, help="the time for all of it")
    parser.add_argument("--replicas", type=int, help="one for 2,500 sessions, 20 to 400")
    parser.add_argument("--workers", type=int, default=3, help="processes that share the replicas")
    parser.add_argument("--lease", type=float, default=15.0)
    parser.add_argument("--refresh", type=float, default=60.0, help="seconds between refreshes")
    parser.add_argument("--quiet", type=float, default=15.0, help="seconds of silence")
    parser.add_argument("--report", type=Path, default=ROOT / "docs" / "scale.json")
    given = vars(parser.parse_args())
    path: Path = given.pop("report")
    given["replicas"] = given["replicas"] or replicas_for(given["sessions"])
    return Options(**given), path


def main() -> int:
    asked, path = options()
    began, about, code = time.monotonic(), machine(), commit()

    def report() -> dict[str, Any]:
        return {
            "sessions": asked.sessions,
            "replicas": asked.replicas,
            "processes": asked.workers,
            "lease": asked.lease,
            "refresh": asked.refresh,
            "caps": {"subject": CAPS.per_subject, "address": CAPS.per_address},
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "commit": code,
            "machine": about,
            "seconds": round(time.monotonic() - began, 1),
            "faults": run.faults,
        } | run.report

    def save() -> None:
        whole = path.with_suffix(".new")
        whole.write_text(json.dumps(report(), indent=2) + "\n")
        whole.replace(path)
        if run.report.get("growth"):
            path.with_suffix(".svg").write_text(draw(report()))

    def stop(number: int, _: object) -> None:
        if stops:
            sys.exit(f"ended by a second {signal.Signals(number).name}")
        stops.append(number)
        run.stop(signal.Signals(number).name)

    run, stops = Run(asked, save), list[int]()
    for each in SIGNALS:
        signal.signal(each, stop)
    try:
        run.all_phases()
    except BaseException as error:
        run.faults.append(f"ended by {type(error).__name__}: {error}")
        raise
    finally:
        save()
    print(json.dumps(report(), indent=2))
    return 1 if run.faults or "cut" in run.report else 0


if __name__ == "__main__":
    raise SystemExit(main())
