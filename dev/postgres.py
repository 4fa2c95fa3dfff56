"""PostgreSQL 15 with wal2json, for logical decoding.

Room: dev (IO). PostgreSQL manual, "Server Configuration"; wal2json's README.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import psycopg
from psycopg import sql

from dev.install import PG_BIN
from dev.process import is_alive
from dev.server import Server
from dev.shell import StackError, run

HOST = "127.0.0.1"
USER = "postgres"
PASSWORD = "postgres"  # a server of this machine, for development only

_PLUGINS = ("pgoutput", "test_decoding", "wal2json")
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

    def __init__(self, folder: Path, data: Path, port: int, socket: Path) -> None:
        super().__init__(folder, data)
        self._port = port
        self._socket = socket

    def prepare(self) -> None:
        """Run initdb once; in a place apart, so that no half-made cluster is taken for one."""
        user = _unprivileged()
        _own(self._socket, user)
        if (self.data / "PG_VERSION").exists():
            self._unlock()
            return
        unfinished = self.data.with_name(f"{self.data.name}.unfinished")
        for leftover in (self.data, unfinished):
            shutil.rmtree(leftover, ignore_errors=True)
        _own(unfinished, user)
        with tempfile.NamedTemporaryFile("w", suffix=".password") as password:
            password.write(f"{PASSWORD}\n")
            password.flush()
            if user:
                os.chown(password.name, user.pw_uid, user.pw_gid)
            run(
                [*_as(user), str(PG_BIN / "initdb"), "-D", str(unfinished), "-U", USER, "--encoding=UTF8",
                 "--locale=C.UTF-8", "--auth-local=trust", "--auth-host=scram-sha-256",
                 f"--pwfile={password.name}"],
                cwd=Path("/"),
            )  # fmt: skip
        # Not in the command line: there, a reload complains of each that the file sets otherwise.
        with (unfinished / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = '{value}'\n" for name, value in _SETTINGS.items())
        unfinished.rename(self.data)

    def launch(self) -> None:
        """Start the postmaster as an unprivileged user."""
        self.process.start(
            [*_as(_unprivileged()), PG_BIN / "postgres", "-D", self.data, "-p", str(self._port),
             "-k", self._socket]
        )  # fmt: skip

    def ready(self) -> bool:
        """True when pg_isready says so; no guess about passwords."""
        command = [str(PG_BIN / "pg_isready"), "-q", "-h", HOST, "-p", str(self._port), "-t", "5"]
        return subprocess.run(command, check=False).returncode == 0

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

    def _unlock(self) -> None:
        """Remove a killed postmaster's locks: PostgreSQL thinks that it lives until its parent has reaped it."""
        for lock in (self.data / "postmaster.pid", *self._socket.glob(".s.PGSQL.*.lock")):
            with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
                if not is_alive(int(lock.read_text().splitlines()[0])):
                    lock.unlink()


def _unprivileged() -> pwd.struct_passwd | None:
    """Whom PostgreSQL runs as when we are root, which it refuses."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise StackError("PostgreSQL refuses root, and there is no user postgres or nobody: run as another user")


def _as(user: pwd.struct_passwd | None) -> list[str]:
    if user is None:
        return []
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"]


def _own(folder: Path, user: pwd.struct_passwd | None) -> None:
    """Make a folder that only the server's user may enter."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    if user:
        os.chown(folder, user.pw_uid, user.pw_gid)
