"""The stream's limit: PostgreSQL's own reader, with the producer's plugin options, to /dev/null."""

from __future__ import annotations

from bench.database import Backlog, Database
from bench.measure import Cost, run
from dev.install import PG_BIN
from producer.decode import pgoutput, wal2json


class PgRecvlogical:
    """pg_recvlogical from a copy of the producer's slot, so that both read the same log."""

    name = "pg_recvlogical"

    def attach(self, database: Database) -> None:
        """Copy the producer's slot, which is drained."""
        slot = self._slot(database)
        database.execute(
            f"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{slot}'",
            f"SELECT pg_copy_logical_replication_slot('{self._copied(database)}', '{slot}')",
        )

    def drain(self, backlog: Backlog) -> Cost:
        """Up to the backlog's end."""
        database = backlog.database
        options = self._asked(database)
        command = [
            str(PG_BIN / "pg_recvlogical"), "-d", database.name, "--verbose", "--no-loop",
            "--slot", self._slot(database), "--start", "--endpos", backlog.end, "-f", "/dev/null",
            *(part for name, value in options.items() for part in ("-o", f"{name}={value}")),
        ]  # fmt: skip
        return run(
            command,
            database.client_environment(),
            since="streaming initiated",
            find=lambda: database.pids("walsender"),
        )

    def _asked(self, database: Database) -> dict[str, str]:
        options = wal2json.options([("public", table) for table in database.tables])
        # Like the producer: it asks for what wal2json knows since 2.6, and sees.
        if database.knows(wal2json.NUMBERS_AS_STRINGS):
            options[wal2json.NUMBERS_AS_STRINGS] = "1"
        return options

    def _copied(self, database: Database) -> str:
        return database.slot

    def _slot(self, database: Database) -> str:
        return f"{database.name}_reference"


class PgRecvlogicalTuples(PgRecvlogical):
    """The same with pgoutput."""

    name = "pg_recvlogical-pgoutput"

    def _asked(self, database: Database) -> dict[str, str]:
        return pgoutput.options([f"producer_{database.name}"])

    def _copied(self, database: Database) -> str:
        return f"{database.slot}_pgoutput"

    def _slot(self, database: Database) -> str:
        return f"{database.name}_tuples"
