"""`python -m bench.trials [NAME…]`: what was tried for speed, again: the figures of docs/adr, beside each other.

Each trial drains one backlog by variants of the product (or of pg_recvlogical), all in each round.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import cast

from bench.database import Backlog, Database, backlog
from bench.machine import machine, started
from bench.measure import Cost, run
from bench.report import Result, compared
from bench.rounds import Rounds, progress, turns
from bench.systems import Drains, Snapshots, System
from bench.systems.pg_producer import PgProducer, PgProducerTuples
from bench.systems.pg_recvlogical import PgRecvlogical, PgRecvlogicalTuples
from bench.systems.produce import Produce
from bench.tables import TOAST, insert_orders, load_documents, orders
from bench.workloads import Bench
from bench.workloads.streams import Stream, drained, inserts, round_robin
from dev.install import PG_BIN
from dev.stack import Stack
from producer.decode import wal2json

_LOOP = "import producer.pipeline.stream.loop as loop; loop._GATHER_SECONDS = "
_ONE_BY_ONE = (
    "from producer.pipeline.stream.transactions import Transactions as T; run = T.run; "
    "T.run = lambda self, get, most, most_bytes: run(self, get, 1, most_bytes)"
)
_ORDERS_COLUMNS = "id, customer, status, quantity, amount, reference, note, created, updated, tags, extra"


def _identifier(name: str) -> str:
    """What a slot or a topic may bear of a trial's name."""
    return "".join(filter(str.isalnum, name))


class Variant(PgProducer):
    """The product otherwise: settings, or a line of Python before it begins. Slot and topics of its own."""

    def __init__(
        self,
        name: str,
        settings: Mapping[str, str] | None = None,
        *,
        before: str = "",
        server: str = "",
        only: int = -1,
    ) -> None:
        self.name = name
        self._settings = settings or {}
        self._before = before
        self._server = server
        """A server's setting, `name=value`, for the sessions of this variant."""
        self._only = only
        """The number of the only table that it reads; -1: it reads all."""
        self._id = _identifier(name)

    def topics(self, database: Database) -> list[str]:
        """With a prefix of its own."""
        tables = database.tables if self._only < 0 else database.tables[self._only : self._only + 1]
        return [f"{database.name}.{self._id}.public.{table}" for table in tables]

    def _run(self, database: Database, arguments: Sequence[str], mode: str) -> Cost:
        if self._server:
            name, _, value = self._server.partition("=")
            database.execute(f"ALTER DATABASE {database.name} SET {name} = '{value}'")
        try:
            return super()._run(database, arguments, mode)
        finally:
            if self._server:
                database.execute(f"ALTER DATABASE {database.name} RESET ALL")

    def _command(self, arguments: Sequence[str]) -> list[str]:
        settings = [part for name, value in self._settings.items() for part in ("--set", f"{name}={value}")]
        if not self._before:
            return super()._command((*arguments, *settings))
        main = f"{self._before}\nfrom producer.cli import main; main()"
        return [sys.executable, "-c", main, "run", *arguments, *settings]

    def _environment(self, database: Database, mode: str) -> dict[str, str]:
        chosen = {
            **super()._environment(database, mode),
            "PRODUCER_TOPIC_PREFIX": f"{database.name}.{self._id}",
            "PRODUCER_SLOT_NAME": f"{database.slot}_{self._id.lower()}",
            "PRODUCER_OFFSET_STORAGE_TOPIC": f"{database.name}.{self._id}.offsets",
        }
        if self._only >= 0:
            chosen["PRODUCER_TABLE_INCLUDE_LIST"] = f"public.{database.tables[self._only]}"
        return chosen


class Together:
    """Several at once: from the first one's beginning to the last one's end."""

    def __init__(self, name: str, systems: Sequence[Variant]) -> None:
        self.name = name
        self._systems = systems

    def attach(self, database: Database) -> None:
        """All of them."""
        for system in self._systems:
            system.attach(database)

    def drain(self, backlog: Backlog) -> Cost:
        """Each its part."""
        part = Backlog(backlog.database, backlog.events // len(self._systems), backlog.end)
        return self._at_once(lambda system: system.drain(part))

    def snapshot(self, database: Database, rows: int) -> Cost:
        """Each its part."""
        return self._at_once(lambda system: system.snapshot(database, rows // len(self._systems)))

    def _at_once(self, work: Callable[[Variant], Cost]) -> Cost:
        with ThreadPoolExecutor(len(self._systems)) as pool:
            costs = list(pool.map(work, self._systems))
        # Backends are found by their database, the broker is everybody's: each has counted all of them.
        return Cost(
            max(cost.seconds for cost in costs), sum(cost.processor for cost in costs),
            sum(cost.start_processor for cost in costs), sum(cost.peak_rss for cost in costs),
            max(cost.backends for cost in costs), max(cost.broker for cost in costs), 0.0,
        )  # fmt: skip


class Options(PgRecvlogical):
    """pg_recvlogical with other options of the plugin."""

    def __init__(self, name: str, **options: str | None) -> None:
        self.name = name
        self._options = {key.replace("_", "-"): value for key, value in options.items()}

    def _slot(self, database: Database) -> str:
        return f"{database.name}_{_identifier(self.name).lower()}"

    def drain(self, backlog: Backlog) -> Cost:
        """Up to the backlog's end."""
        chosen: dict[str, str | None] = dict(wal2json.options([("public", table) for table in backlog.database.tables]))
        chosen.update(self._options)
        command = [
            str(PG_BIN / "pg_recvlogical"), "-d", backlog.database.name, "--verbose", "--no-loop",
            "--slot", self._slot(backlog.database), "--start", "--endpos", backlog.end, "-f", "/dev/null",
            *(part for name, value in chosen.items() if value is not None for part in ("-o", f"{name}={value}")),
        ]  # fmt: skip
        database = backlog.database
        return run(
            command, database.client_environment(), since="streaming initiated",
            find=lambda: database.pids("walsender"),
        )  # fmt: skip


class TupleOptions(PgRecvlogicalTuples):
    """pg_recvlogical with other options of pgoutput."""

    def __init__(self, name: str, **options: str) -> None:
        self.name = name
        self._options = options

    def _asked(self, database: Database) -> dict[str, str]:
        return super()._asked(database) | self._options

    def _slot(self, database: Database) -> str:
        return f"{database.name}_{_identifier(self.name).lower()}"


@dataclass(slots=True)
class CopyFormat:
    """COPY of all tables to /dev/null in one of its formats."""

    name: str
    options: str

    def snapshot(self, database: Database, _rows: int) -> Cost:
        """One table after the other."""
        command = [str(PG_BIN / "psql"), "-qX", "-c", r"\warn begins"]
        for table in database.tables:
            command += ["-c", f"COPY (SELECT {_ORDERS_COLUMNS} FROM {table}) TO STDOUT {self.options}"]
        return run(command, database.client_environment(), since="begins", find=lambda: database.pids("client backend"))


def _streams(stream: Stream, *variants: Drains, product: System | None = None) -> Callable[[Bench], list[Result]]:
    def trial(bench: Bench) -> list[Result]:
        # The product last: it is attached first, and what reads a copy of its slot after it.
        systems = cast("tuple[System, ...]", (*variants, product or PgProducer()))
        (rounds,) = drained(replace(bench, systems=systems), [stream], limit=False)
        return compared(rounds)

    return trial


def _ready(stream: Stream) -> Callable[[Bench], list[Result]]:
    """What the product made of a stream, produced and acked again without a database: Kafka's own limit."""

    def trial(bench: Bench) -> list[Result]:
        rounds, system = Rounds("ready bytes", bench.events(stream.events)), PgProducer()
        with bench.database(stream.tables) as database:
            database.execute(*stream.make)
            system.attach(database)
            system.drain(backlog(database, rounds.events, stream.load))
            produce = Produce(system)
            while bench.wants(rounds):
                rounds.done.append({produce.name: produce.snapshot(database, rounds.events)})
        return compared(rounds)

    return trial


def _snapshots(*systems: Snapshots) -> Callable[[Bench], list[Result]]:
    def trial(bench: Bench) -> list[Result]:
        rows = bench.events(500_000) // 2 * 2
        with bench.database(("orders_a", "orders_b")) as database:
            for table in database.tables:
                database.execute(orders(table), insert_orders(table, rows // 2), f"ANALYZE {table}")
            database.settle()
            rounds = Rounds("snapshot", rows)
            while bench.wants(rounds, None):
                rounds.done.append(
                    {system.name: system.snapshot(database, rows) for system in turns(systems, len(rounds.done))}
                )
        return compared(rounds)

    return trial


_INSERTS = inserts("trial", 300_000, 1000)


def _trials(stack: Stack) -> dict[str, Callable[[Bench], list[Result]]]:
    socket = str(stack.postgres_socket)
    return {
        "options": _streams(
            _INSERTS,
            Options("lean"),
            Options("without pk", include_pk="0"),
            Options("without type OIDs", include_type_oids="0"),
            Options("type names", include_types="1"),
            Options("no xid, time, LSN", include_xids="0", include_timestamp="0", include_lsn="0"),
        ),
        "binary": _streams(
            _INSERTS, TupleOptions("text"), TupleOptions("binary", binary="true"), product=PgProducerTuples()
        ),
        "streaming": _streams(
            inserts("trial", 500_000, 500_000),
            TupleOptions("at commit"),
            TupleOptions("streaming on", proto_version="2", streaming="on"),
            product=PgProducerTuples(),
        ),
        "calls": _streams(_INSERTS, Variant("one message a call", before=_ONE_BY_ONE)),
        "gather": _streams(
            _INSERTS, *(Variant(f"gather {each} ms", before=f"{_LOOP}{each / 1000}") for each in (0, 0.3, 3))
        ),
        "compression": _streams(
            _INSERTS,
            *(Variant(each, {"producer.override.compression.type": each}) for each in ("zstd", "snappy", "none")),
        ),
        "ready": _ready(Stream("trial", 4_000, ("documents",), TOAST, load_documents)),
        "linger": _streams(
            round_robin("trial", 1000, 600_000),
            *(Variant(f"{each} ms", {"producer.override.linger.ms": str(each)}) for each in (500, 2000, 4000)),
        ),
        "socket": _streams(_INSERTS, Variant("unix socket", {"database.hostname": socket})),
        "gc": _streams(
            _INSERTS, Variant("gc off", before="import gc; gc.disable()"),
            Variant("gc rare", before="import gc; gc.set_threshold(100_000)"),
        ),
        "work_mem": _streams(
            inserts("trial", 500_000, 500_000),
            Variant("4 MB", server="logical_decoding_work_mem=4MB"),
            Variant("512 MB", server="logical_decoding_work_mem=512MB"),
        ),
        "slots": _streams(
            round_robin("trial", 2, 300_000),
            Together("two slots", [Variant("slot a", only=0), Variant("slot b", only=1)]),
        ),
        "copy": _snapshots(CopyFormat("text", ""), CopyFormat("binary", "(FORMAT binary)")),
        "readers": _snapshots(
            PgProducer(), Variant("one reader", {"snapshot.max.threads": "1"}),
            Together("two processes", [Variant("process a", only=0), Variant("process b", only=1)]),
        ),
    }  # fmt: skip


def main() -> int:
    """Run the trials that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench.trials", description=__doc__)
    parser.add_argument("trials", nargs="*", metavar="NAME")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0)
    arguments = parser.parse_args()
    stack = started(Stack.load())
    print(", ".join(f"{name} {value}" for name, value in machine(stack).items()), flush=True)
    trials = _trials(stack)
    for name in arguments.trials or trials:
        progress(name)
        print(f"\n== {name}")
        trials[name](Bench(stack, (), arguments.rounds, 1, arguments.scale))
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
