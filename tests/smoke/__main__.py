"""`make smoke`: three tables, a snapshot under writes, kill -9 and restarts, then the judge."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from dev.stack import Stack
from tests.harness import Command, Running, Source, wait_for
from tests.smoke.judge import confirmed_ahead, judge
from tests.smoke.load import Writer, fill


def main() -> int:
    """Run the proof; 0 only when nothing was lost or out of order and everything compared equal."""
    parser = argparse.ArgumentParser(prog="python -m tests.smoke", description=__doc__)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--rows", type=int, default=20000)
    parser.add_argument("--changes", type=int, default=20000)
    parser.add_argument("--kills", type=int, default=5)
    arguments = parser.parse_args()
    base = Stack.load()
    stack = Stack(base.folder.parent / "smoke", base.cache)
    stack.wipe()
    try:
        with tempfile.TemporaryDirectory() as folder:
            return Smoke(stack, Path(folder), arguments).run()
    finally:
        stack.wipe()


class Smoke:
    """One proof on a stack of its own."""

    def __init__(self, stack: Stack, folder: Path, arguments: argparse.Namespace) -> None:
        stack.start()
        self._stack = stack
        self._arguments = arguments
        self._chance = random.Random(arguments.seed)
        self._source = Source(stack, "smoke")
        self._command = Command(stack, self._source, folder)
        with self._source.connect() as connection:
            fill(connection, arguments.rows)
        self._writer = Writer(stack.postgres_dsn("smoke"), arguments.seed, arguments.changes)
        self._ahead = 0
        self._first_version = 0

    def run(self) -> int:
        """Faults while the writer writes, then the judge."""
        say(f"seed {self._arguments.seed}: {self._arguments.rows} rows, {self._arguments.changes} changes")
        self._writer.start()
        running = self._command.start("run")
        wait_for(lambda: self._source.confirmed_lsn() is not None, 60, "the slot")
        self._first_version = int(self._source.rows("SELECT nextval('versions')")[0][0])
        # The first kill is during the snapshot, or as near to it as this machine allows.
        running = self._kill(running)
        faults = ["kill"] * (self._arguments.kills - 1) + ["kafka", "postgres"]
        self._chance.shuffle(faults)
        for place, fault in enumerate(faults):
            share = self._arguments.changes * (place + 1) / (len(faults) + 2)
            wait_for(lambda share=share: self._writer.changed >= share, 240, "the writer's share")  # type: ignore[misc]
            if fault == "kill":
                running = self._kill(running)
            else:
                say(f"restart of {fault} after {self._writer.changed} changes")
                self._stack.restart(fault)
            if running.process.poll() is not None:
                say(f"the producer ended by itself with {running.process.returncode}:\n{running.stderr}")
                return 1
        self._writer.hurry.set()
        self._writer.join(240)
        code = running.stop()
        once = self._command.run("run", "--once", seconds=120)
        if code != 0 or once.returncode != 0:
            say(f"ended with {code}, run --once with {once.returncode}:\n{running.stderr}{once.stderr}")
            return 1
        return self._judge()

    def _kill(self, running: Running) -> Running:
        """kill -9, look at what was confirmed, start again."""
        running.process.kill()
        running.process.wait(10)
        known = self._since_the_slot()
        confirmed = self._source.rows(
            f"SELECT confirmed_flush_lsn - '0/0' FROM pg_replication_slots WHERE slot_name = '{self._source.slot}'"
        )
        records = self._command.records()
        ahead = confirmed_ahead(records, known, int(confirmed[0][0]))
        say(f"kill -9 after {self._writer.changed} changes, {len(records)} records: {ahead} confirmed ahead of Kafka")
        self._ahead += ahead
        return self._command.start("run")

    def _since_the_slot(self) -> dict[int, int]:
        """What the writer committed since the slot was there: it must all be in the stream."""
        return {version: lsn for version, lsn in dict(self._writer.committed).items() if version > self._first_version}

    def _judge(self) -> int:
        verdict = judge(self._source, self._command.prefix, self._command.records(), self._since_the_slot())
        for difference in verdict.differences:
            say(difference)
        say(
            f"smoke: {self._arguments.rows} rows, {verdict.events} events, {verdict.lost} lost, "
            f"{verdict.out_of_order} out of order, {verdict.repeated} repeated"
        )
        failed = verdict.lost or verdict.out_of_order or verdict.differences or self._ahead
        return 1 if failed else 0


def say(text: str) -> None:
    """Progress and result, on stdout."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
