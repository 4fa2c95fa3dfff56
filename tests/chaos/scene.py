"""One database under load, one producer behind links, and what faults do to them."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from dev.stack import Stack
from producer.crash_points import VARIABLE
from producer.errors import ProducerError
from tests.chaos.confirms import Confirms, Look
from tests.chaos.judge import Round, Verdict, judge, state_of
from tests.chaos.link import Link, to_kafka
from tests.chaos.load import WRITERS, Writer, started
from tests.chaos.tables import SETTINGS, TABLES, fill
from tests.harness import Command, Running, Source, wait_for

ROWS = 4500
_PACE = 0.005 * WRITERS
_LARGE = 0.5
_RECOVER_SECONDS = 120
_POINT_SECONDS = 60
_TRY_SECONDS = 3
# Shorter than some of the faults: the server gives up a client that is frozen or cannot be reached.
_WAL_SENDER_TIMEOUT = "3s"
# The snapshot must last long enough to be hit in its midst.
_LIMIT_BYTES = 200_000


class Failed(Exception):
    """A fault was not survived, or could not be made."""


class Linked(Command):
    """The producer behind links to PostgreSQL and Kafka; one start of it may be told where to die."""

    def __init__(self, stack: Stack, source: Source, folder: Path, seed: object) -> None:
        super().__init__(stack, source, folder)
        kafka = int(stack.bootstrap_servers.rpartition(":")[2])
        self.links = {"postgres": Link(stack.postgres_port, seed=seed), "kafka": to_kafka(kafka, seed)}
        self.crash_at = ""

    def environment(self, settings: Mapping[str, object] | None = None) -> dict[str, str]:
        """As `Command` has it, through the links."""
        own = {
            "PRODUCER_DATABASE_PORT": str(self.links["postgres"].port),
            "PRODUCER_BOOTSTRAP_SERVERS": f"127.0.0.1:{self.links['kafka'].port}",
        }
        return {**super().environment(settings), **own, **({VARIABLE: self.crash_at} if self.crash_at else {})}

    def end(self) -> None:
        """Leave nothing running."""
        super().end()
        for link in self.links.values():
            link.close()


class Scene:
    """Load, producer, faults one after the other, then the judge."""

    def __init__(
        self,
        stack: Stack,
        name: str,
        folder: Path,
        seed: object,
        *,
        settings: Mapping[str, object],
        seconds: float = 600,
    ) -> None:
        self.stack = stack
        self.chance = random.Random(f"{seed}")
        self.source = Source(stack, name)
        self.command = Linked(stack, self.source, folder, seed)
        self.settings = {**SETTINGS, "max.queue.size.in.bytes": _LIMIT_BYTES, **settings}
        self.confirms = Confirms(self.source, self.command.prefix, every_seconds=0.5)
        self.rounds: list[Round] = []
        self.struck_at = 0.0
        self._running: Running | None = None
        self._altered = 0
        self.source.execute(f"ALTER DATABASE {name} SET wal_sender_timeout = '{_WAL_SENDER_TIMEOUT}'")
        with self.source.connect() as connection:
            fill(connection, ROWS)
        self._writers = started(
            lambda part: Writer(
                stack.postgres_dsn(name), seed=seed, part=part, changes=0, pace=_PACE,
                keys=ROWS // len(TABLES) * 6 // 5, large=_LARGE, seconds=seconds,
            )
        )  # fmt: skip
        self.confirms.start()

    # The producer.

    def start(self, crash_at: str = "") -> None:
        """Start it; with `crash_at`, to die at a named point."""
        self.command.crash_at = crash_at
        self._running = self.command.start("run", settings=self.settings)

    @property
    def running(self) -> Running:
        """The producer.

        Raises:
            Failed: it ended by itself.
        """
        running = self._running
        if running is None or running.process.poll() is not None:
            raise Failed(f"the producer ended by itself: {running and running.process.returncode}, {self.told}")
        return running

    @property
    def told(self) -> str:
        """Where the producer's last words are."""
        return f"see {self._running.log}" if self._running else "it was never started"

    def streaming(self) -> None:
        """Wait until it has looked at the source, and reads the stream."""
        wait_for(lambda: "streaming" in self.running.stderr, _POINT_SECONDS, "the producer streams")

    def kill(self) -> None:
        """kill -9, and look at what was confirmed by then."""
        running = self.running
        self.struck()
        running.process.kill()
        running.process.wait(10)
        self.confirms.look_after_kill()

    def terminate(self) -> None:
        """SIGTERM: an orderly end."""
        running = self.running
        code = running.stop()
        if code:
            raise Failed(f"SIGTERM: exit code {code}, {self.told}")

    def die(self, point: str, every_while: Callable[[], None] | None = None) -> None:
        """Wait for its death at the point that it was started for; what leads there is done every while."""
        running = self._running
        assert running is not None
        tried = float("-inf")

        def ended() -> bool:
            nonlocal tried
            if running.process.poll() is None and every_while and time.monotonic() - tried > _TRY_SECONDS:
                every_while()
                tried = time.monotonic()
            return running.process.poll() is not None

        wait_for(ended, _POINT_SECONDS, f"reaching {point}, {self.told}")
        self.struck()
        if running.process.returncode != -signal.SIGKILL:
            raise Failed(f"{point}: exit code {running.process.returncode} instead of a death, {self.told}")
        self.confirms.look_after_kill()

    def freeze(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after a while."""
        process = self.running.process
        process.send_signal(signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            process.send_signal(signal.SIGCONT)

    # The servers.

    def crash_postgres(self) -> None:
        """An immediate shutdown, as `pg_ctl -m immediate` does, and a start with recovery."""
        pid = self.stack.pid("postgres")
        if pid is None:
            raise Failed("PostgreSQL does not run")
        os.kill(pid, signal.SIGQUIT)
        wait_for(lambda: self.stack.pid("postgres") != pid, 30, "PostgreSQL ends")
        self.stack.start("postgres")

    def crash(self, name: str) -> None:
        """kill -9 of a server, and a start."""
        self.stack.kill(name)
        self.stack.start(name)

    def alter(self) -> None:
        """Another shape for a table, under load."""
        self._altered += 1
        table = self.chance.choice(TABLES)
        self.source.execute(f"ALTER TABLE {table} ADD COLUMN extra_{self._altered} int")

    # The round.

    def struck(self) -> None:
        """The fault begins now."""
        self.struck_at = time.monotonic()

    def round(self, name: str, fault: Callable[[Scene], None]) -> float:
        """One fault, and the recovery from it; the stall, in seconds: from the fault until all until then is confirmed.

        Raises:
            Failed: it was not survived.
        """
        time.sleep(self.chance.uniform(0.1, 1))
        self.struck()
        fault(self)
        seconds = self.recovered()
        self.end_round(name)
        return seconds

    def recovered(self) -> float:
        """Wait until what was written before now is confirmed; seconds since the fault began."""
        self._check_writers()
        wait_for(lambda: self.confirms.slot()[1] != -1, 60, "PostgreSQL answers")
        # Else a moment without writes might pass for a recovery.
        self.source.execute(f"INSERT INTO marks VALUES ('round {len(self.rounds)}')")
        if self.confirms.reached(self._written(), _RECOVER_SECONDS, lambda: self.running) is None:
            raise Failed(f"not caught up within {_RECOVER_SECONDS} s, {self.told}")
        return time.monotonic() - self.struck_at

    def end_round(self, name: str) -> None:
        """What comes from here on is another round's."""
        looks: list[Look] = []

        def looked() -> bool:
            try:
                looks.append(self.confirms.look())
            except ProducerError:
                return False
            return True

        wait_for(looked, 60, "Kafka tells its ends")
        self.rounds.append(Round(name, looks[0].ends, self._written()))

    def finish(self, *, once: bool = False) -> Verdict:
        """The writers come to their end, then the producer; what is left comes with `run --once`; then the judge.

        Raises:
            Failed: something did not end as it should.
        """
        for writer in self._writers:
            writer.hurry.set()
        for writer in self._writers:
            writer.join(60)
            if writer.is_alive():
                raise Failed(f"{writer.name} does not end")
        self._check_writers()
        self.terminate()
        self.command.crash_at = ""
        left = self.command.run("run", "--once", settings=self.settings, seconds=120)
        if left.returncode:
            raise Failed(f"run --once ended with {left.returncode}:\n{left.stderr}")
        self.confirms.end()
        transactions = [made for writer in self._writers for made in writer.transactions]
        return judge(
            state_of(self.source), self.command.records(), transactions, self.confirms.looks, self.rounds, once=once
        )

    def close(self) -> None:
        """Leave nothing running; the database goes with its slot."""
        for writer in self._writers:
            writer.hurry.set()
        self.confirms.end()
        self.command.end()
        for writer in self._writers:
            writer.join(60)
        self.source.drop()

    def _written(self) -> int:
        return int(self.source.rows("SELECT pg_current_wal_insert_lsn() - '0/0'")[0][0])

    def _check_writers(self) -> None:
        for writer in self._writers:
            if writer.failure is not None:
                raise Failed(f"{writer.name}: {writer.failure!r}")
