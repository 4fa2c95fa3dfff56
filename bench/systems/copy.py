"""The snapshot's limit in PostgreSQL: COPY to /dev/null."""

from __future__ import annotations

from bench.database import Database
from bench.measure import Cost, run
from dev.install import PG_BIN


class Copy:
    """psql's COPY of one table after the other, on one connection."""

    name = "copy"

    def snapshot(self, database: Database, rows: int) -> Cost:
        """Copy all tables; nothing counts the rows."""
        command = [str(PG_BIN / "psql"), "-qX", "-v", "ON_ERROR_STOP=1", "-c", r"\warn begins"]
        for table in database.tables:
            command += ["-c", f"COPY (SELECT * FROM {table}) TO STDOUT"]
        return run(command, database.client_environment(), since="begins", find=lambda: database.pids("client backend"))
