"""One full-table run of a connector at a time: an advisory lock, held by the run's own session.

Room: source (IO: PostgreSQL). PostgreSQL manual, "Advisory Locks".
A slot has one reader, which keeps two of us apart; here there is none, and rows of an older view would go out
behind those of a newer one. The server frees the lock when the session ends, however that is.
"""

from __future__ import annotations

from producer.clock import Clock
from producer.errors import AnotherRun
from producer.source import advisory
from producer.source.wire import Connection, Server, explained

_LOOK_SECONDS = 5.0


class RunLock:
    """The lock of one connector, named by its prefix and its name."""

    def __init__(self, connection: Connection, server: Server, clock: Clock, *, prefix: str, name: str) -> None:
        """Take it for as long as the session lives.

        Raises:
            AnotherRun: another session has it.
        """
        self._connection = connection
        self._server = server
        self._clock = clock
        self._looked_at = clock.monotonic()
        with explained(server, "taking the lock of a full-table run"):
            holder = advisory.held_by(connection, f"pg-producer:{prefix}:{name}")
        if holder is not None:
            raise AnotherRun(
                f"another run of {name} on {server.dbname} is under way ({holder})",
                remedy="it is waited for; is its process gone, and its session is not: "
                "SELECT pg_terminate_backend(pid);",
            )

    def watch(self) -> None:
        """`demand` it now and then."""
        if self._clock.monotonic() - self._looked_at >= _LOOK_SECONDS:
            self.demand()

    def demand(self) -> None:
        """See that the session lives: without it the lock may be another's.

        Raises:
            PostgresUnavailable: it does not.
        """
        self._looked_at = self._clock.monotonic()
        with explained(self._server, "holding the lock of the run"):
            self._connection.execute(b"SELECT 1")
