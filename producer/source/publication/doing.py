"""Altering the publications.

Room: source (IO: PostgreSQL). PostgreSQL manual, "CREATE PUBLICATION", "ALTER PUBLICATION".
"""

from __future__ import annotations

from psycopg import errors, sql

from producer.errors import PostgresUnavailable
from producer.source.publication.steps import Steps
from producer.source.wire import Connection, Server, explained

# ADD TABLE waits for VACUUM, CREATE INDEX CONCURRENTLY, ALTER TABLE; those who write wait for nobody.
_LOCK_TIMEOUT = "10s"


def do(connection: Connection, server: Server, planned: Steps) -> None:
    """Run the statements.

    Raises:
        PostgresUnavailable: something else has changed a table or the publication meanwhile: look again.
        AccessDenied, OperatorError, ...: as `wire.explain` maps the server's words.
    """
    for steps in planned.transactions:
        try:
            with connection.transaction():
                connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(_LOCK_TIMEOUT)))
                for step in steps:
                    connection.execute(step.statement(connection.info.server_version))
        except (
            errors.DuplicateObject,
            errors.UndefinedObject,
            errors.UndefinedTable,
            errors.LockNotAvailable,
            # Both have found that it is not there.
            errors.UniqueViolation,
        ) as error:
            raise PostgresUnavailable(
                f"PostgreSQL {server.where}: the publication {steps[0].publication} could not be altered: "
                f"{error.diag.message_primary}",
                remedy="somebody changes it, or a table of it, at this moment: we look again",
            ) from error
        except errors.Error:
            with explained(server, f"altering the publication {steps[0].publication}"):
                raise
