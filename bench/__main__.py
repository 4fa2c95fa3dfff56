"""`make bench`: the producer beside pg_recvlogical and COPY, on the real local stack, in one run."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path
from types import FrameType

from bench.report import Rounds, report
from bench.workloads import Workbench
from dev.stack import NAMES, Stack

_RESULTS = Path(__file__).parent / "results.json"
_MEASURED = """
Time: from the line by which each system says that the server has begun to send (pg_recvlogical
"streaming initiated", pg-producer "streaming" / "snapshot of a table begins", psql just before COPY)
to the end of the process; for pg-producer everything is acked by Kafka by then, and its topic has
grown by exactly the number of rows. s/M: processor seconds a million rows, all threads, of the whole
process; "start s": what of that (in seconds, not a million) went before the first line. The ratio is
the median of the rounds' own; the order changes from round to round. A round in which others had
more than 15 % of the machine is repeated, whatever came out of it."""


def main() -> int:
    """Run the workloads, print tables, write results.json."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rows", type=_positive, default=200_000, help="rows of the stream's backlog")
    parser.add_argument("--snapshot-rows", type=_positive, default=500_000)
    parser.add_argument("--rounds", type=_positive, default=3)
    parser.add_argument("--results", type=Path, default=_RESULTS, help="where the figures go")
    arguments = parser.parse_args()
    stack = Stack.load()
    if not all(stack.running(name) for name in NAMES):
        stack.start()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with Workbench(stack) as bench:
            try:
                found = report(_stream(bench, arguments.rows, arguments.rounds))
                found += report(_snapshot(bench, arguments.snapshot_rows, arguments.rounds))
            finally:
                # Cleaning up is short, and must not be broken off.
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
    except KeyboardInterrupt:
        print("interrupted; the database, its slots and topics are gone", file=sys.stderr)
        return 130
    print(_MEASURED)
    arguments.results.write_text(json.dumps(found, indent=2) + "\n")
    print(f"written to {arguments.results}")
    return 0


def _stream(bench: Workbench, rows: int, rounds: int) -> Rounds:
    """W-insert: a backlog of one table's rows, 1,000 a transaction; both slots at one point."""
    found = Rounds("W-insert", rows, "pg_recvlogical", [], [])
    bench.producer("--once")
    while found.wanting(rounds):
        turn = len(found.ours)
        end = bench.backlog(rows)
        if turn % 2 == 0:
            found.reference.append(bench.recvlogical(end))
        found.ours.append(bench.producer("--once", expected=rows))
        if turn % 2:
            found.reference.append(bench.recvlogical(end))
    return found


def _snapshot(bench: Workbench, rows: int, rounds: int) -> Rounds:
    """W-snap: one table, copied."""
    found = Rounds("W-snap", rows, "copy", [], [])
    bench.settle("TRUNCATE orders")
    bench.insert(rows, 50_000)
    bench.settle("VACUUM ANALYZE orders")
    while found.wanting(rounds):
        turn = len(found.ours)
        if turn % 2 == 0:
            found.reference.append(bench.copy())
        found.ours.append(bench.producer(mode="initial_only", expected=rows))
        if turn % 2:
            found.reference.append(bench.copy())
    return found


def _positive(text: str) -> int:
    number = int(text.replace("_", "").replace(",", ""))
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
