"""Connections to PostgreSQL, their pinned session settings, and what their errors mean.

Room: source (IO: PostgreSQL). PostgreSQL manual, "Database Connection Control Functions",
"Appendix A. PostgreSQL Error Codes".
"""

from __future__ import annotations

import math
import os
import re
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from producer.errors import (
    AccessDenied,
    DecodeError,
    OperatorError,
    PostgresUnavailable,
    ProducerError,
    PublicationLost,
    ServerNotReady,
    SlotInUse,
    SlotLost,
)

# The output functions print by these settings, and both paths must print alike. They beat what
# the server, the database or the role sets, and need no right.
SESSION = {
    "timezone": "UTC",
    "datestyle": "ISO,MDY",
    "intervalstyle": "iso_8601",
    "extra_float_digits": "3",  # before PostgreSQL 12, less is not exact
    "bytea_output": "hex",
    "lc_monetary": "C",
    "quote_all_identifiers": "off",
    "search_path": "",
    "row_security": "off",
    # Our own statements have backslashes in their texts.
    "standard_conforming_strings": "on",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}
# What a server that lists its own plugins only is told; `plugins.allowing` keeps what another lists.
ALLOW_WAL2JSON = "ALTER SYSTEM SET output_plugin_libraries = pgoutput, test_decoding, wal2json;"
PGOUTPUT = "set plugin.name=pgoutput, the one setting to change"
"""Where wal2json is not to be had and pgoutput is."""
PUBLICATION_LOST = (
    "what the log holds of that time cannot be read any more. snapshot.mode=when_needed makes publication and slot "
    "anew, reads every table again and deletes from the topics what has gone; or `pg-producer slot drop`, then run"
    " again"
)
"""What to do when the log knows no publication of ours."""
SLOT_GONE = "the slot is gone: run again after `pg-producer slot drop`"
# What an older server does not know, by the version that brought it. A snapshot's transaction is long, and the server
# decodes in transactions too. Compiling a question to the catalogue takes longer than answering it.
_SESSION_SINCE = {
    110000: "SET jit = off",
    140000: "SET idle_session_timeout = 0",
    170000: "SET transaction_timeout = 0",
}
_GUARD_SECONDS = 1.0

Connection = psycopg.Connection[tuple[object, ...]]


class Session(Connection):
    """An ordinary session, whose answers may be given a limit: who swallows a question answers never."""

    _seconds = 0.0
    _until = math.inf
    _late = False

    def answer_within(self, seconds: float) -> None:
        """From now on, cut the connection when a statement takes longer."""
        guarded, self._seconds = bool(self._seconds), seconds
        if not guarded:
            twin = socket.socket(fileno=os.dup(self.pgconn.socket))
            threading.Thread(target=self._guard, args=(twin,), name="answers", daemon=True).start()

    def execute(self, *args: Any, **kwargs: Any) -> psycopg.Cursor[tuple[object, ...]]:
        """As psycopg's.

        Raises:
            psycopg.Error: as the server says; OperationalError: there was no answer in time.
        """
        if self._seconds:
            self._until = time.monotonic() + self._seconds
        try:
            return super().execute(*args, **kwargs)
        except psycopg.Error as error:
            if not self._late:
                raise
            raise psycopg.OperationalError(f"no answer within {self._seconds:.0f} s") from error
        finally:
            self._until = math.inf

    def _guard(self, twin: socket.socket) -> None:
        with twin, suppress(OSError):
            while not self.closed:
                if time.monotonic() > self._until:
                    self._late = True
                    twin.shutdown(socket.SHUT_RDWR)
                    return
                time.sleep(min(self._seconds / 4, _GUARD_SECONDS))


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where the source is and who we are there."""

    host: str
    port: int
    user: str
    dbname: str
    application_name: str
    password: str | None = field(default=None, repr=False)
    ssl: tuple[tuple[str, str], ...] = ()
    initial_statements: Sequence[str] = ()

    def conninfo(self, **more: str) -> str:
        """The libpq connection string; it holds the password."""
        values: dict[str, str | int] = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "dbname": self.dbname,
            "application_name": self.application_name,
            "client_encoding": "UTF8",
            "connect_timeout": 10,
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "tcp_user_timeout": 60000,
            "options": " ".join(f"-c {name}={value}" for name, value in SESSION.items()),
            **dict(self.ssl),
            **more,
        }
        if self.password is not None:
            values["password"] = self.password
        return make_conninfo("", **values)

    @property
    def where(self) -> str:
        """`user@host:port/dbname`, for messages."""
        return f"{self.user}@{self.host}:{self.port}/{self.dbname}"


def connect(server: Server) -> Session:
    """Open an ordinary session in autocommit mode.

    Raises:
        ProducerError: as `explain` maps the server's words.
    """
    with explained(server):
        connection = Session.connect(server.conninfo(), autocommit=True)
        try:
            _pin(connection)
            _initialise(connection, server)
        except BaseException:
            connection.close()
            raise
        return connection


def _initialise(connection: Connection, server: Server) -> None:
    for statement in server.initial_statements:
        try:
            connection.execute(statement.encode())
        except psycopg.Error as error:
            # Behind its first line the server repeats the statement, which may hold a secret.
            said = str(error).partition("\n")[0]
            raise explain(error.sqlstate, said, server, "database.initial.statements") from error


def connect_replication(server: Server) -> Connection:
    """Open a walsender session on the database (`replication=database`)."""
    with explained(server):
        connection = psycopg.connect(server.conninfo(replication="database"), autocommit=True)
        try:
            _pin(connection)
        except BaseException:
            connection.close()
            raise
        return connection


def _pin(connection: Connection) -> None:
    for since, statement in _SESSION_SINCE.items():
        if connection.info.server_version >= since:
            connection.pgconn.exec_(statement.encode())


@contextmanager
def explained(server: Server, doing: str = "") -> Iterator[None]:
    """Turn psycopg's errors into ours."""
    try:
        yield
    except psycopg.Error as error:
        raise explain(error.sqlstate, str(error), server, doing) from error


def explain(sqlstate: str | None, text: str, server: Server, doing: str = "") -> ProducerError:
    """What an error of the server or of libpq means, and what to do.

    libpq gives no SQLSTATE for a refused connection: there the words decide.
    """
    words = " ".join(_without_values(sqlstate, text).split())
    what = f"PostgreSQL {server.where}: {doing + ': ' if doing else ''}{words}"
    role = sql.Identifier(server.user).as_string()
    for known, fragments, kind, remedy in _RULES:
        if (sqlstate is not None and sqlstate in known) or any(part in words for part in fragments):
            return kind(what, remedy=remedy.format(user=server.user, role=role, dbname=server.dbname))
    if sqlstate is None or sqlstate[:2] in _PASSING:
        return PostgresUnavailable(what, remedy="is the server up, and database.hostname and database.port right?")
    return OperatorError(what, remedy="see the server's log for the details of this error")


def _without_values(sqlstate: str | None, text: str) -> str:
    """What the server says of data that it cannot read ends with the data."""
    return _VALUE.split(text, maxsplit=1)[0] if sqlstate is not None and sqlstate[:2] in _OF_DATA else text


# Connection, a transaction that had to give way, resources, an administrator's hand, the system.
_PASSING = ("08", "40", "53", "57", "58")
_OF_DATA = ("22", "23")
_VALUE = re.compile(r'\n|(?<=:) "| (?="[^"]*" is out of range)')

_Rule = tuple[frozenset[str], tuple[str, ...], type[ProducerError], str]


def _rule(codes: str, fragments: tuple[str, ...], kind: type[ProducerError], remedy: str) -> _Rule:
    return frozenset(codes.split()), fragments, kind, remedy


_RULES: tuple[_Rule, ...] = (
    _rule(
        "",
        ("certificate verify failed", "does not match host name", "root certificate file"),
        AccessDenied,
        "set database.sslrootcert to the file of the authority that signed the server's certificate; with "
        "database.sslmode=verify-full, database.hostname must be a name in it",
    ),
    _rule(
        "",
        (
            "private key file",
            "read certificate file",
            "client certificate",
            "certificate authentication failed",
            "alert unknown ca",
            "alert certificate",
            "alert bad certificate",
            "alert handshake failure",
        ),
        AccessDenied,
        "set database.sslcert and database.sslkey (mode 0600) to a certificate of {user} that the server's "
        "ssl_ca_file vouches for",
    ),
    _rule(
        "",
        ("server does not support SSL",),
        ServerNotReady,
        "ALTER SYSTEM SET ssl = on; SELECT pg_reload_conf();  or set database.sslmode=prefer",
    ),
    _rule(
        "28P01",
        ("password authentication failed", "no password supplied"),
        AccessDenied,
        "set database.password (or PRODUCER_DATABASE_PASSWORD) to the password of {user}",
    ),
    _rule(
        "28000",
        ("no pg_hba.conf entry", "pg_hba.conf rejects"),
        AccessDenied,
        "add a line to the server's pg_hba.conf and reload: host {dbname} {user} <our address>/32 scram-sha-256",
    ),
    _rule(
        "3D000",
        ('FATAL: database "', 'FATAL: role "'),
        OperatorError,
        "set database.dbname to a database of this server, database.user to one of its roles",
    ),
    _rule(
        "",
        ("must be superuser or replication role", "permission denied to start WAL sender"),
        AccessDenied,
        "ALTER ROLE {role} REPLICATION;  (Amazon RDS: GRANT rds_replication TO {role};)",
    ),
    _rule(
        "",
        ('library "wal2json" may not be used as an output plugin',),
        ServerNotReady,
        "the server does not allow wal2json; as a superuser: "
        + ALLOW_WAL2JSON
        + " SELECT pg_reload_conf();  (the setting output_plugin_libraries came with the minor "
        f"releases of August 2026); or {PGOUTPUT}, where it is allowed: pg-producer check tells",
    ),
    _rule(
        "",
        ("may not be used as an output plugin",),
        ServerNotReady,
        "as a superuser, add it to output_plugin_libraries: pg-producer check prints the statement",
    ),
    _rule(
        "",
        ('could not access file "wal2json"',),
        ServerNotReady,
        f"install the plugin on the server: apt-get install postgresql-<major>-wal2json; or {PGOUTPUT}",
    ),
    _rule(
        "",
        ("unsupported startup parameter",),
        ServerNotReady,
        "a pooler such as pgbouncer answers there: set database.hostname and database.port to the server itself",
    ),
    _rule(
        "",
        ("logical decoding requires wal_level", 'logical decoding requires "wal_level"'),
        ServerNotReady,
        "ALTER SYSTEM SET wal_level = logical;  then restart the server",
    ),
    _rule(
        "",
        ("cannot execute CREATE_REPLICATION_SLOT during recovery",),
        ServerNotReady,
        "connect to the primary",
    ),
    _rule(
        "",
        ("conversion between UTF8 and",),
        ServerNotReady,
        "the server cannot turn the database's encoding into UTF8: move the data to a database with ENCODING 'UTF8'",
    ),
    _rule(
        "22P05 22021",
        (),
        DecodeError,
        "a row holds bytes that are no text in the database's encoding: mend it, or leave its table out with "
        "table.exclude.list",
    ),
    _rule("55006", (), SlotInUse, "stop the other reader of the slot, or wait: we take over when it ends"),
    _rule(
        "",
        ("cannot read from logical replication slot", "can no longer access replication slot"),
        SlotLost,
        "the slot has lost WAL: pg-producer slot drop, delete the topics or accept repeats, and run again "
        "for a new snapshot",
    ),
    _rule(
        "",
        ('publication "',),
        PublicationLost,
        PUBLICATION_LOST,
    ),
    _rule("", ('replication slot "',), SlotLost, SLOT_GONE),
    _rule(
        "53400",
        ("all replication slots are in use",),
        ServerNotReady,
        "raise max_replication_slots and restart the server, or drop a slot that nobody reads",
    ),
    _rule(
        "",
        ("too many connections for", "too many clients already", "connection slots are reserved"),
        PostgresUnavailable,
        "end sessions that nobody needs (pg_stat_activity), or raise what is used up: max_connections, or the "
        "CONNECTION LIMIT of {role} or of the database",
    ),
    _rule(
        "",
        ("exceeds max_wal_senders",),
        PostgresUnavailable,
        "raise max_wal_senders and restart the server, or stop another replication client",
    ),
    _rule(
        "42501",
        ("permission denied",),
        AccessDenied,
        "grant what is missing, e.g. GRANT USAGE ON SCHEMA … TO {role}; GRANT SELECT ON … TO {role};",
    ),
)
