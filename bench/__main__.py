"""`make bench`: pg-producer beside the limits of PostgreSQL and Kafka, on the real local stack, in one run.

bench/README.md says what each workload is, how it is measured, and what the fields of results.json mean.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

from bench import peers
from bench.machine import machine, started
from bench.report import Result
from bench.rounds import progress
from bench.systems.pg_producer import PgProducer, PgProducerTuples
from bench.systems.pg_recvlogical import PgRecvlogicalTuples
from bench.workloads import Bench, Workload
from bench.workloads.catalogue import WORKLOADS
from dev.stack import Stack

_RESULTS = Path(__file__).parent / "results.json"
_MEASURED = """
Time of a stream or snapshot: from the line by which each system says that the work begins to the end of its process;
by then all is acked by Kafka, and the topics have grown by exactly the number of events. s/M: processor seconds a
million events, all threads, of the whole process; "start s": what of it (in seconds, not a million) went before that
line. In a round's brackets: what everybody else had of the machine meanwhile; with more than 15 % it is repeated.
The ratio is the median of the rounds' own ratios to the limit."""


def main() -> int:
    """Run the workloads, print tables, write results.json."""
    arguments = _arguments()
    if arguments.list:
        for workload in WORKLOADS:
            print(f"{', '.join(workload.names)}: {workload.about}")
        return 0
    chosen = list(_chosen(arguments.workloads or (peers.WORKLOADS if arguments.peers else ())))
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, _interrupt)
    results: list[Result] = []
    try:
        stack = started(Stack.load())
        found = machine(stack)
        print(", ".join(f"{name} {value}" for name, value in found.items()), flush=True)
        ours = (PgProducer(), PgProducerTuples()) if arguments.plugin else (PgProducer(),)
        with peers.peers(stack, arguments.peers, arguments.scale) as others:
            limits = (PgRecvlogicalTuples(),) if arguments.plugin else ()
            bench = Bench(stack, (*ours, *others), arguments.rounds, arguments.repeats, arguments.scale, limits)
            for workload in chosen:
                progress(f"{', '.join(workload.names)}: {workload.about}")
                results += workload.run(bench)
                sys.stdout.flush()
                # An hour's figures are not lost with the last of them.
                _write(results, arguments, found)
        if others:
            results = peers.against(results, others, ours)
    except KeyboardInterrupt:
        print("interrupted; the databases, slots and topics are gone", file=sys.stderr)
        return 130
    print(_MEASURED)
    _write(results, arguments, found)
    print(f"written to {arguments.results}")
    return 0


def _write(results: Sequence[Result], arguments: argparse.Namespace, found: Mapping[str, object]) -> None:
    marked = [{**result, "scale": arguments.scale, "machine": found} for result in results]
    arguments.results.write_text(json.dumps(marked, indent=2) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help="names, or what they begin with; none: all")
    parser.add_argument("--rounds", type=_positive, default=3, help="undisturbed rounds whose median counts")
    parser.add_argument("--repeats", type=int, default=2, help="times that a disturbed round may be repeated")
    parser.add_argument("--scale", type=_scale, default=1.0, help="multiplies the numbers of rows, for a trial")
    parser.add_argument("--results", type=Path, default=_RESULTS, help="where the figures go")
    parser.add_argument(
        "--peers", action="store_const", const=[*peers.NAMES], default=[], help="Debezium's variants too"
    )
    parser.add_argument(
        "--peer", action="append", dest="peers", choices=peers.NAMES, help="one of them; may be given again"
    )
    parser.add_argument(
        "--plugin",
        choices=("pgoutput",),
        help="pg-producer and pg_recvlogical with this plugin too, in the same rounds",
    )
    parser.add_argument("--list", action="store_true", help="name the workloads")
    return parser.parse_args()


def _chosen(wanted: Sequence[str]) -> Iterator[Workload]:
    """In the catalogue's order; a whole name means that one alone, else all that begin with it."""
    known = {name for workload in WORKLOADS for name in workload.names}
    meant: set[str] = set() if wanted else known
    for text in wanted:
        found = {text} & known or {name for name in known if name.startswith(text)}
        if not found:
            raise SystemExit(f"no workload {text}: see --list")
        meant |= found
    return (workload for workload in WORKLOADS if meant & set(workload.names))


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _scale(text: str) -> float:
    number = float(text)
    if number <= 0:
        raise argparse.ArgumentTypeError("must be above 0")
    return number


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    # What is cleaned up from here on must not be broken off by the next one.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, _ignore)
    raise KeyboardInterrupt


def _ignore(_signal: int, _frame: FrameType | None) -> None:
    """Not SIG_IGN: Python complains of a signal that came just before."""


if __name__ == "__main__":
    sys.exit(main())
