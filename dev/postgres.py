"""PostgreSQL with wal2json, for logical decoding.

Room: dev (IO). PostgreSQL manual, "Server Configuration"; wal2json's README.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from pathlib import Path

import psycopg
from psycopg import pq, sql

from dev.process import is_alive
from dev.programs import Programs, own, server_user
from dev.server import Server
from dev.shell import run

HOST = "127.0.0.1"
USER = "postgres"
PASSWORD = "postgres"  # a server of this machine, for development only

_PLUGINS = ("pgoutput", "test_decoding", "wal2json")
_FIRST_OID = 3_000_000_000
_SETTINGS = {
    "listen_addresses": HOST,
    "wal_level": "logical",
    "max_wal_senders": "32",
    "max_replication_slots": "64",
    "max_connections": "200",
    "max_wal_size": "4GB",
    "log_line_prefix": "%m [%p] %a ",
}


class Postgres(Server):
    """PostgreSQL: a password over TCP, trust on a socket that only its own user can reach."""

    name = "postgres"
    # A fast shutdown: sessions are ended.
    stop_signal = signal.SIGINT

    def __init__(self, folder: Path, data: Path, port: int, socket: Path, programs: Programs) -> None:
        super().__init__(folder, data)
        self._programs = programs
        self._port = port
        self._socket = socket

    def prepare(self) -> None:
        """Run initdb once; in a place apart, so that no half-made cluster is taken for one."""
        self._programs.prepare()
        own(self._socket)
        if (self.data / "PG_VERSION").exists():
            self._unlock()
            return
        unfinished = self.data.with_name(f"{self.data.name}.unfinished")
        for leftover in (self.data, unfinished):
            shutil.rmtree(leftover, ignore_errors=True)
        own(unfinished)
        with tempfile.NamedTemporaryFile("w", dir=self.data.parent, suffix=".password") as password:
            password.write(f"{PASSWORD}\n")
            password.flush()
            if user := server_user():
                os.chown(password.name, user.pw_uid, user.pw_gid)
            inside = self._programs.inside
            self._run(
                "initdb", "-D", inside(unfinished), "-U", USER, "--encoding=UTF8", "--locale=C.UTF-8",
                "--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={inside(Path(password.name))}",
            )  # fmt: skip
        # As on a server that has lived long: what takes an OID for a signed number is found.
        if self._programs.sets_oids:
            self._run("pg_resetwal", "-o", str(_FIRST_OID), "-D", inside(unfinished))
        # Not in the command line: there, a reload complains of each that the file sets otherwise.
        with (unfinished / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = '{value}'\n" for name, value in _SETTINGS.items())
        unfinished.rename(self.data)

    def launch(self) -> None:
        """Start the postmaster as an unprivileged user."""
        inside = self._programs.inside
        self.process.start(
            self._programs.command(
                "postgres", "-D", inside(self.data), "-p", str(self._port), "-k", inside(self._socket)
            ),
            env=self._programs.environment,
        )

    def ready(self) -> bool:
        """True when it takes connections; no guess about passwords."""
        return pq.PGconn.ping(f"host={HOST} port={self._port} connect_timeout=5".encode()) == pq.Ping.OK

    def settle(self) -> None:
        """Allow wal2json, where the server is new enough to ask (August 2026's minors refuse it by default)."""
        dsn = f"host={HOST} port={self._port} user={USER} password={PASSWORD} dbname=postgres connect_timeout=10"
        with psycopg.connect(dsn, autocommit=True) as connection:
            known = connection.execute(
                "SELECT setting FROM pg_settings WHERE name = 'output_plugin_libraries'"
            ).fetchone()
            if known and not set(_PLUGINS) <= {name.strip() for name in known[0].split(",")}:
                # Names, not one string: that would be one bogus name.
                names = sql.SQL(", ").join(map(sql.Identifier, _PLUGINS))
                connection.execute(sql.SQL("ALTER SYSTEM SET output_plugin_libraries = {}").format(names))
                connection.execute("SELECT pg_reload_conf()")

    def _run(self, program: str, *arguments: str | Path) -> None:
        run(self._programs.command(program, *arguments), cwd=Path("/"), env=self._programs.environment)

    def _unlock(self) -> None:
        """Remove a killed postmaster's locks: PostgreSQL thinks that it lives until its parent has reaped it."""
        for lock in (self.data / "postmaster.pid", *self._socket.glob(".s.PGSQL.*.lock")):
            with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
                if not is_alive(int(lock.read_text().splitlines()[0])):
                    lock.unlink()
