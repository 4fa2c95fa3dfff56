"""The stack as a whole: which servers, where they live, how others reach them.

Room: dev (IO). Tests use it as `Stack.load()`.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dev.fetch import fetch
from dev.install import StackError, install
from dev.servers import Kafka, Postgres, Registry, Server

NAMES = ("postgres", "kafka", "registry")
_ROOT = Path(__file__).resolve().parent.parent
_PORTS = ("postgres", "kafka", "controller", "registry", "management")


class Stack:
    """Servers in one folder, on ports of their own."""

    postgres_host = "127.0.0.1"
    postgres_user = "postgres"
    postgres_password = "postgres"  # a server of this machine, for development only

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        self.cache = cache
        self._file = folder / "stack.json"
        state = json.loads(self._file.read_text()) if self._file.exists() else {}
        self._ports: dict[str, int] = state.get("ports", {})
        self.data = Path(state.get("data", folder / "data"))

    @classmethod
    def load(cls) -> Stack:
        """The stack in DEV_STACK_DIR, or in .dev/stack of the repository."""
        folder = Path(os.environ.get("DEV_STACK_DIR", _ROOT / ".dev" / "stack")).absolute()
        cache = Path(os.environ.get("DEV_CACHE_DIR", _ROOT / ".dev" / "cache")).absolute()
        return cls(folder, cache)

    def start(self, *names: str) -> None:
        """Start what does not run yet, all at once, and wait until it is ready.

        Raises:
            StackError: a server did not become ready.
        """
        install()
        fetch(self.cache)
        self._settle()
        servers = [self._server(name) for name in names or NAMES]
        with ThreadPoolExecutor(len(servers)) as pool:
            list(pool.map(lambda server: server.start(), servers))

    def stop(self, *names: str) -> None:
        """Stop orderly."""
        servers = [self._server(name) for name in reversed(names or NAMES)]
        with ThreadPoolExecutor(len(servers)) as pool:
            list(pool.map(lambda server: server.stop(), servers))

    def kill(self, name: str) -> None:
        """kill -9."""
        self._server(name).kill()

    def restart(self, name: str) -> None:
        """Stop and start one server on its port."""
        self._server(name).stop()
        self._server(name).start()

    def running(self, name: str) -> bool:
        """True when its process is there."""
        return self._server(name).process.pid is not None

    def wipe(self) -> None:
        """Stop everything and delete its data."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.data, ignore_errors=True)

    def log_path(self, name: str) -> Path:
        """Where a server's log is."""
        return self._server(name).process.log

    @property
    def postgres_port(self) -> int:
        """PostgreSQL's TCP port."""
        return self._port("postgres")

    @property
    def bootstrap_servers(self) -> str:
        """Kafka's address."""
        return f"127.0.0.1:{self._port('kafka')}"

    @property
    def registry_url(self) -> str:
        """The registry's Confluent interface."""
        return f"http://127.0.0.1:{self._port('registry')}/apis/ccompat/v7"

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

    def _port(self, name: str) -> int:
        if name not in self._ports:
            raise StackError("the stack was never started: run `python -m dev start`")
        return self._ports[name]

    def _server(self, name: str) -> Server:
        if name == "postgres":
            return Postgres(self.folder, self.data / "postgres", self._port("postgres"))
        if name == "kafka":
            ports = self._port("kafka"), self._port("controller")
            return Kafka(self.folder, self.data / "kafka", self.cache, ports)
        if name == "registry":
            ports = self._port("registry"), self._port("management")
            return Registry(self.folder, self.data / "registry", self.cache, ports)
        raise StackError(f"no server {name!r}: there are {', '.join(NAMES)}")

    def _settle(self) -> None:
        """Choose the ports once, and a data folder that PostgreSQL's user can reach."""
        self.folder.mkdir(parents=True, exist_ok=True)
        missing = [name for name in _PORTS if name not in self._ports]
        if missing:
            self._ports.update(zip(missing, _free_ports(len(missing)), strict=True))
        if not self.data.exists() and os.geteuid() == 0 and not _reachable(self.folder):
            self.data = Path(tempfile.mkdtemp(prefix="pg-producer-dev-"))
            self.data.chmod(0o755)
        self.data.mkdir(parents=True, exist_ok=True)
        unfinished = self._file.with_suffix(".tmp")
        unfinished.write_text(json.dumps({"ports": self._ports, "data": str(self.data)}))
        unfinished.replace(self._file)


def _reachable(folder: Path) -> bool:
    """True when any user may walk to the folder."""
    return all(parent.stat().st_mode & 0o001 for parent in (folder, *folder.parents))


def _free_ports(count: int) -> list[int]:
    with_ports = [socket.socket() for _ in range(count)]
    for one in with_ports:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in with_ports]
    for one in with_ports:
        one.close()
    return ports
