"""`make smoke`: three tables, a snapshot under writes, kill -9 and restarts, then the judge."""

from __future__ import annotations

import argparse
import random
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

import psycopg

from dev.shell import StackError
from dev.stack import Stack
from producer.errors import ProducerError
from tests import harness
from tests.chaos.confirms import Confirms
from tests.chaos.judge import judge, state_of
from tests.chaos.load import WRITERS, Writer, started
from tests.chaos.tables import SETTINGS, fill
from tests.harness import Command, Running, Source, wait_for

_LIMIT_SECONDS = 8 * 60
# Between two changes of one writer: 20,000 changes take a minute, and the faults fall among them.
_PACE = 0.003 * WRITERS
_RECOVER_SECONDS = 90
_TOLD_LINES = 25
# The snapshot must last long enough to be killed in its midst.
_SLOW_SNAPSHOT = {**SETTINGS, "max.queue.size.in.bytes": 100_000}


class Failed(Exception):
    """The proof did not come to its end, or did not hold."""


_FAILURES = (
    Failed, StackError, ProducerError, psycopg.Error, AssertionError, TimeoutError, subprocess.TimeoutExpired,
)  # fmt: skip


def main() -> int:
    """Run the proof; 0 only when nothing was lost or out of order and everything compared equal."""
    parser = argparse.ArgumentParser(prog="python -m tests.smoke", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="what the load and the faults are")
    parser.add_argument("--rows", type=int, default=20000, help="rows before the snapshot")
    parser.add_argument("--changes", type=int, default=20000, help="changes beside and after it, at least")
    parser.add_argument("--kills", type=int, default=5, help="kill -9 of the producer; the first is in the snapshot")
    parser.add_argument("--plugin", choices=("wal2json", "pgoutput"), default="wal2json", help="plugin.name")
    parser.add_argument("--keep", action="store_true", help="leave the stack and the producer's logs")
    parser.add_argument("--folder", type=Path, help="where the stack lives (.dev/smoke)")
    arguments = parser.parse_args()
    harness.PLUGIN = arguments.plugin
    base = Stack.load()
    stack = Stack((arguments.folder or base.folder.parent / "smoke").absolute(), base.cache)
    signal.signal(signal.SIGALRM, _too_long)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.alarm(_LIMIT_SECONDS)
    stack.wipe()
    try:
        stack.start()
        logs = stack.folder / "producer"
        logs.mkdir(exist_ok=True)
        return Smoke(stack, logs, arguments).run()
    finally:
        signal.alarm(0)
        if arguments.keep:
            say(f"kept: DEV_STACK_DIR={stack.folder}; the producer's logs are in {stack.folder / 'producer'}")
        else:
            stack.wipe()


class Smoke:
    """One proof on a stack of its own."""

    def __init__(self, stack: Stack, logs: Path, arguments: argparse.Namespace) -> None:
        self._stack = stack
        self._arguments = arguments
        self._chance = random.Random(arguments.seed)
        self._source = Source(stack, "smoke")
        self._command = Command(stack, self._source, logs)
        self._confirms = Confirms(self._source, self._command.prefix)
        self._writers: list[Writer] = []
        self._running: Running | None = None
        self._began = time.monotonic()

    def run(self) -> int:
        """Faults while the writers write, then the judge."""
        wanted = self._arguments
        self._say(f"seed {wanted.seed}: {wanted.rows} rows, {wanted.changes} changes, {wanted.kills} kills")
        try:
            self._faults()
            self._finish()
            return self._judge()
        except _FAILURES as error:
            self._say(f"failed: {error!r}")
            self._tell_log()
            return 1
        finally:
            self._confirms.end()
            self._command.end()

    def _faults(self) -> None:
        wanted = self._arguments
        with self._source.connect() as connection:
            fill(connection, wanted.rows)
        self._writers = started(
            lambda part: Writer(
                self._stack.postgres_dsn(self._source.name), seed=wanted.seed, part=part,
                changes=wanted.changes // WRITERS, pace=_PACE, keys=wanted.rows // 3 * 6 // 5,
            )
        )  # fmt: skip
        self._confirms.start()
        kills = wanted.kills
        self._start(_SLOW_SNAPSHOT if kills else SETTINGS)
        if kills:
            self._kill_in_snapshot()
        faults = ["kafka", "postgres"] + ["kill"] * (kills - 1)
        if kills > 2:
            faults[:3] = ["kafka and kill", "postgres"]
        self._chance.shuffle(faults)
        shares = sorted(self._chance.uniform(0.05, 0.9) for _ in faults)
        for fault, share in zip(faults, shares, strict=True):
            wait_for(lambda share=share: self._changed() >= share * wanted.changes, 240, "the writers' share")  # type: ignore[misc]
            time.sleep(self._chance.uniform(0, 0.3))
            if fault == "kill":
                self._kill()
            else:
                self._restart(fault.partition(" ")[0], kill=fault.endswith("kill"))

    def _kill_in_snapshot(self) -> None:
        enough = self._chance.randint(1, self._arguments.rows // 2)
        wait_for(lambda: self._alive() and self._confirms.records() >= enough, 120, "the snapshot's first rows")
        if "the snapshot is complete" in self._kill():
            raise Failed("the first kill came after the snapshot: it proves nothing")

    def _kill(self) -> str:
        """kill -9, look at what was confirmed, start again at once; what the dead one had said."""
        running = self._alive()
        running.process.kill()
        running.process.wait(10)
        looked = self._confirms.look_after_kill()
        self._start()
        self._say(f"kill -9 after {self._changed()} changes" + ("" if looked else ", Kafka being away"))
        return running.stderr

    def _restart(self, name: str, *, kill: bool) -> None:
        """One server away and back; the producer must come back by itself."""
        self._alive()
        began = time.monotonic()
        errors: list[BaseException] = []
        thread = threading.Thread(target=self._restart_server, args=(name, errors), daemon=True)
        thread.start()
        if kill:
            time.sleep(self._chance.uniform(0.2, 4))
            self._kill()
        thread.join(120)
        if thread.is_alive() or errors:
            raise Failed(f"{name} did not start again: {errors}")
        away = time.monotonic() - began
        wait_for(lambda: self._confirms.slot()[1] != -1, 30, "PostgreSQL answers")
        target = int(self._source.rows("SELECT pg_current_wal_lsn() - '0/0'")[0][0])
        seconds = self._confirms.reached(target, _RECOVER_SECONDS, self._alive)
        if seconds is None:
            raise Failed(f"not recovered within {_RECOVER_SECONDS} s of the restart of {name}")
        self._alive()
        self._say(f"{name} restarted after {self._changed()} changes: {away:.1f} s, caught up {seconds:.1f} s later")

    def _restart_server(self, name: str, errors: list[BaseException]) -> None:
        try:
            self._stack.restart(name)
        except BaseException as error:  # noqa: BLE001 - raised by the main thread
            errors.append(error)

    def _finish(self) -> None:
        """The writers come to their end, then the producer, orderly; what is left comes with --once."""
        for writer in self._writers:
            writer.hurry.set()
        for writer in self._writers:
            writer.join(120)
            if writer.is_alive() or writer.failure is not None:
                raise Failed(f"{writer.name}: {writer.failure or 'does not end'}")
        running = self._alive()
        # One that was started a moment ago does not know yet what SIGTERM means.
        running.wait_for("streaming", 60)
        code = running.stop()
        if code:
            raise Failed(f"the stop ended with {code}")
        once = self._command.run("run", "--once", settings=SETTINGS, seconds=120)
        if once.returncode:
            raise Failed(f"run --once ended with {once.returncode}:\n{once.stderr}")
        self._confirms.end()

    def _judge(self) -> int:
        transactions = [made for writer in self._writers for made in writer.transactions]
        verdict = judge(state_of(self._source), self._command.records(), transactions, self._confirms.looks)
        for difference in verdict.differences[: _TOLD_LINES * 2]:
            say(f"  {difference}")
        if not verdict.good:
            self._say(
                f"{len(verdict.differences)} differences; the producer's logs: --keep --seed {self._arguments.seed}"
            )
        after_kill = sum(look.killed for look in self._confirms.looks)
        self._say(
            f"judged: {verdict.transactions} transactions event by event, {verdict.ahead} events confirmed ahead of "
            f"Kafka in {verdict.looks} looks ({after_kill} after a kill), {verdict.stale} older than a row read again"
        )
        say(
            f"smoke: {self._arguments.rows} rows, {verdict.total('events')} events, {verdict.total('lost')} lost, "
            f"{verdict.total('out_of_order')} out of order, {verdict.total('repeated')} repeated"
        )
        return 0 if verdict.good else 1

    def _changed(self) -> int:
        for writer in self._writers:
            if writer.failure is not None:
                raise Failed(f"{writer.name}: {writer.failure!r}")
        return sum(writer.changed for writer in self._writers)

    def _start(self, settings: Mapping[str, object] | None = None) -> None:
        self._running = self._command.start("run", settings=settings or SETTINGS)

    def _alive(self) -> Running:
        running = self._running
        if running is None or running.process.poll() is not None:
            raise Failed(f"the producer ended by itself with exit code {running and running.process.returncode}")
        return running

    def _tell_log(self) -> None:
        if self._running is not None:
            lines = self._running.stderr.splitlines()[-_TOLD_LINES:]
            say("the producer's last words:\n" + "\n".join(f"  {line}" for line in lines))

    def _say(self, text: str) -> None:
        say(f"{time.monotonic() - self._began:6.1f} s  {text}")


def _too_long(_number: int, _frame: FrameType | None) -> None:
    raise TimeoutError(f"not done within {_LIMIT_SECONDS} s")


def say(text: str) -> None:
    """Progress and result, on stdout."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
