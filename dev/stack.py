"""The stack as a whole: which servers, where they live, how others reach them.

Room: dev (IO). Tests use it as `Stack.load()`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import psycopg

from dev import connect, kafka, postgres, registry, state
from dev.debian import SUITES
from dev.fetch import fetch
from dev.install import PG_MAJOR, install
from dev.jars import JARS
from dev.programs import Installed, Jar, Programs, Unpacked
from dev.server import Server
from dev.shell import StackError, locked
from dev.state import State

NAMES = ("postgres", "kafka", "registry")
# Not started unless named.
OPTIONAL = ("connect",)
ALL = (*NAMES, *OPTIONAL)
MAJORS = tuple(sorted((PG_MAJOR, *SUITES, *JARS)))
_ROOT = Path(__file__).resolve().parent.parent


class Stack:
    """Servers in one folder, on ports of their own; several stacks run side by side."""

    postgres_host = postgres.HOST
    postgres_user = postgres.USER
    postgres_password = postgres.PASSWORD

    def __init__(self, folder: Path, cache: Path, major: int | None = None) -> None:
        self.folder = folder
        self.cache = cache
        self._major = major

    @classmethod
    def load(cls) -> Stack:
        """The stack in DEV_STACK_DIR, or in .dev/stack of the repository; with the PostgreSQL of DEV_POSTGRES_MAJOR."""
        folder = Path(os.environ.get("DEV_STACK_DIR") or _ROOT / ".dev" / "stack").absolute()
        cache = Path(os.environ.get("DEV_CACHE_DIR") or _ROOT / ".dev" / "cache").absolute()
        major = os.environ.get("DEV_POSTGRES_MAJOR") or None
        if major is not None and major not in map(str, MAJORS):
            raise StackError(f"DEV_POSTGRES_MAJOR={major}: there are {', '.join(map(str, MAJORS))}")
        return cls(folder, cache, int(major) if major else None)

    def install(self, *names: str) -> None:
        """Install what these servers, or all, need of the machine."""
        install(_known(names), self.postgres_major)

    def fetch(self, *names: str) -> None:
        """Fetch what these servers, or all, need."""
        wanted = _known(names)
        fetch(self.cache, wanted, self.postgres_major)
        if "kafka" in wanted:
            kafka.make_class_archive(self.cache)

    def start(self, *names: str) -> None:
        """Start what does not run yet, all at once, and wait until it is ready; Connect brings the others with it.

        Raises:
            StackError: a server did not become ready, or the data is another PostgreSQL's.
        """
        wanted = _known(names)
        self._check_major()
        if "connect" in wanted:
            wanted = ALL
        self.install(*wanted)
        self.fetch(*wanted)
        with self._lock():
            self._start(wanted)

    def stop(self, *names: str) -> None:
        """Stop orderly, all of them where none is named; none of their processes is left."""
        wanted = _known(names or ALL)
        if self.folder.exists():
            with self._lock():
                self._stop(wanted)

    def kill(self, name: str) -> None:
        """kill -9, children too."""
        (known,) = _known([name])
        with self._lock():
            self._server(known).kill()

    def restart(self, name: str) -> None:
        """Stop and start one server on its port."""
        known = _known([name])
        with self._lock():
            self._stop(known)
            self._start(known)

    def wipe(self) -> None:
        """Stop everything and delete its data."""
        if not self.folder.exists():
            return
        with self._lock():
            self._stop(ALL)
            kept = state.load(self.folder)
            for place in [*(state.apart(self.folder, kept) if kept else []), self.folder]:
                shutil.rmtree(place)

    def running(self, name: str) -> bool:
        """True when its process is there."""
        return self.pid(name) is not None

    def pid(self, name: str) -> int | None:
        """The server's process, where it runs."""
        (known,) = _known([name])
        return self._server(known).process.pid if self._has_ports(known) else None

    def log_path(self, name: str) -> Path:
        """Where a server's log is."""
        (known,) = _known([name])
        return self.folder / f"{known}.log"

    @property
    def postgres_major(self) -> int:
        """PostgreSQL's major: the one that the stack was made with, or will be."""
        kept = self._kept()
        return kept.major if kept else self._major or PG_MAJOR

    @property
    def postgres_version(self) -> str:
        """As the running server tells; the major alone where it does not run."""
        with contextlib.suppress(psycopg.OperationalError):
            if self.running("postgres"):
                with psycopg.connect(self.postgres_dsn(), connect_timeout=5) as connection:
                    told = connection.info.parameter_status("server_version") or ""
                    return told.partition(" ")[0]
        return str(self.postgres_major)

    @property
    def wal2json_version(self) -> str:
        """The plugin's, as its package tells; empty where it is not there."""
        return self._programs().wal2json_version

    @property
    def postgres_port(self) -> int:
        """PostgreSQL's TCP port."""
        return self._port("postgres")

    @property
    def postgres_socket(self) -> Path:
        """The folder of PostgreSQL's Unix socket, which asks no password of those who can reach it."""
        return self._state().socket

    @property
    def bootstrap_servers(self) -> str:
        """Kafka's address."""
        return f"{kafka.HOST}:{self._port('kafka')}"

    @property
    def registry_url(self) -> str:
        """The registry's Confluent interface."""
        return f"http://{registry.HOST}:{self._port('registry')}{registry.PATH}"

    @property
    def connect_url(self) -> str:
        """Connect's REST interface."""
        return f"http://{connect.HOST}:{self._port('connect')}"

    def postgres_dsn(self, dbname: str = "postgres") -> str:
        """A superuser's connection string."""
        return (
            f"host={self.postgres_host} port={self.postgres_port} user={self.postgres_user} "
            f"password={self.postgres_password} dbname={dbname}"
        )

    def environment(self, dbname: str = "postgres") -> dict[str, str]:
        """What the producer reads."""
        return {
            "PRODUCER_DATABASE_HOSTNAME": self.postgres_host,
            "PRODUCER_DATABASE_PORT": str(self.postgres_port),
            "PRODUCER_DATABASE_USER": self.postgres_user,
            "PRODUCER_DATABASE_PASSWORD": self.postgres_password,
            "PRODUCER_DATABASE_DBNAME": dbname,
            "PRODUCER_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "PRODUCER_SCHEMA_REGISTRY_URL": self.registry_url,
        }

    def client_environment(self) -> dict[str, str]:
        """What psql and other PostgreSQL clients read, and where the stack is."""
        return {
            "PGHOST": self.postgres_host,
            "PGPORT": str(self.postgres_port),
            "PGUSER": self.postgres_user,
            "PGPASSWORD": self.postgres_password,
            "DEV_STACK_DIR": str(self.folder),
            "DEV_POSTGRES_SOCKET": str(self.postgres_socket),
            "DEV_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "DEV_SCHEMA_REGISTRY_URL": self.registry_url,
        }

    def _start(self, names: Sequence[str]) -> None:
        self._check_major()
        kept = self._kept() or state.make(self.folder, self.postgres_major)
        # Kept before the ports are looked for: a place apart must not be forgotten.
        state.save(self.folder, kept)
        stopped = [name for name in names if not kept.ports or not self.running(name)]
        # Every stack has all its addresses, so that they can be told before all its servers run.
        missing = [name for name in ALL if not set(state.PORTS[name]) <= set(kept.ports)]
        state.save(self.folder, kept.with_free_ports(sorted({*stopped, *missing})))
        self._each(names, lambda server: server.start())

    def _stop(self, names: Sequence[str]) -> None:
        # One that has no ports never ran: this stack was made before there was such a server.
        self._each([name for name in names if self._has_ports(name)], lambda server: server.stop())

    def _each(self, names: Sequence[str], do: Callable[[Server], None]) -> None:
        """Do it to all at once; every failure is told."""
        with ThreadPoolExecutor(len(names) or 1) as pool:
            tasks = [pool.submit(do, self._server(name)) for name in names]
        errors = [error for task in tasks if (error := task.exception())]
        for error in errors:
            if not isinstance(error, StackError):
                raise error
        if errors:
            raise StackError("\n".join(map(str, errors)))

    def _has_ports(self, name: str) -> bool:
        kept = self._kept()
        return kept is not None and set(state.PORTS[name]) <= set(kept.ports)

    def _server(self, name: str) -> Server:
        kept = self._state()
        if not self._has_ports(name):
            raise StackError(f"{name} never ran in {self.folder}: run `python -m dev start {name}`")
        data = kept.data / name
        match name:
            case "postgres":
                if kept.major != PG_MAJOR:
                    data = state.tree(kept.data) / "data"
                return postgres.Postgres(self.folder, data, kept.ports["postgres"], kept.socket, self._programs())
            case "kafka":
                return kafka.Kafka(self.folder, data, self.cache, kept.ports)
            case "connect":
                return connect.Connect(self.folder, data, self.cache, kept.ports)
            case _:
                return registry.Registry(self.folder, data, self.cache, kept.ports)

    def _programs(self) -> Programs:
        kept = self._state()
        if kept.major == PG_MAJOR:
            return Installed()
        return (Jar if kept.major in JARS else Unpacked)(state.tree(kept.data), self.cache, kept.major)

    def _check_major(self) -> None:
        kept = self._kept()
        if kept and self._major not in (None, kept.major):
            raise StackError(
                f"the stack in {self.folder} was made with PostgreSQL {kept.major}, and its data is of no use to "
                f"{self._major}: set DEV_STACK_DIR to another folder, or run `python -m dev wipe`"
            )

    def _lock(self) -> AbstractContextManager[None]:
        return locked(self.folder / ".lock")

    def _kept(self) -> State | None:
        return state.load(self.folder)

    def _state(self) -> State:
        kept = self._kept()
        if kept is None or not kept.ports:
            raise StackError(f"no stack in {self.folder}: run `python -m dev start`")
        return kept

    def _port(self, name: str) -> int:
        return self._state().ports[name]


def _known(names: Sequence[str]) -> Sequence[str]:
    """The named servers; those that are not optional where none is named."""
    for name in names:
        if name not in ALL:
            raise StackError(f"no server {name!r}: there are {', '.join(ALL)}")
    return tuple(dict.fromkeys(names)) or NAMES
