"""The three servers: how each is prepared, started, probed and stopped.

Room: dev (IO).
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from dev.fetch import class_archive, kafka_libs, registry_home
from dev.install import PG_BIN, StackError, java, registry_java, run, say
from dev.process import Process


class Server:
    """What the stack asks of a server."""

    name = ""
    stop_signal = signal.SIGTERM

    def __init__(self, folder: Path, data: Path) -> None:
        self.data = data
        self.process = Process(self.name, folder)

    def start(self) -> None:
        """Start it when it does not run, and wait until it is ready."""
        if self.process.pid is None:
            self.prepare()
            self.launch()
        self.process.wait_ready(self.ready)
        self.settle()

    def stop(self) -> None:
        """End it orderly."""
        self.process.end(self.stop_signal)

    def kill(self) -> None:
        """kill -9, children too."""
        self.process.end(signal.SIGKILL)

    def prepare(self) -> None:
        """Make its data folder, once."""

    def launch(self) -> None:
        """Start its process."""

    def ready(self) -> bool:
        """A real request is answered."""
        raise NotImplementedError

    def settle(self) -> None:
        """What can only be set on a running server."""


class Postgres(Server):
    """PostgreSQL 15 with wal2json allowed."""

    name = "postgres"
    # Fast shutdown: sessions are ended.
    stop_signal = signal.SIGINT

    def __init__(self, folder: Path, data: Path, port: int) -> None:
        super().__init__(folder, data)
        self._port = port

    def prepare(self) -> None:
        """Run initdb."""
        if (self.data / "PG_VERSION").exists():
            return
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(parents=True)
        user = _unprivileged()
        with tempfile.NamedTemporaryFile("w", suffix=".pw") as password:
            password.write("postgres\n")
            password.flush()
            if user:
                os.chown(self.data, user.pw_uid, user.pw_gid)
                os.chown(password.name, user.pw_uid, user.pw_gid)
            run(
                [*_as(user), str(PG_BIN / "initdb"), "-D", str(self.data), "-U", "postgres", "--encoding=UTF8",
                 "--locale=C.UTF-8", "--auth=scram-sha-256", f"--pwfile={password.name}"],
                cwd="/",
            )  # fmt: skip
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.write(
                "listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\nwal_level = logical\n"
                "max_wal_senders = 32\nmax_replication_slots = 64\nmax_connections = 200\n"
                "max_wal_size = 4GB\nlog_line_prefix = '%m [%p] %a '\n"
            )

    def launch(self) -> None:
        """Start the postmaster as an unprivileged user."""
        command = [str(PG_BIN / "postgres"), "-D", str(self.data), "-p", str(self._port)]
        self.process.start([*_as(_unprivileged()), *command], cwd=Path("/"))

    def ready(self) -> bool:
        """pg_isready says yes."""
        command = [str(PG_BIN / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        return subprocess.run(command, check=False).returncode == 0

    def settle(self) -> None:
        """Allow the plugin, where the server is new enough to ask."""
        import psycopg

        dsn = f"host=127.0.0.1 port={self._port} user=postgres password=postgres dbname=postgres"
        with psycopg.connect(dsn, autocommit=True) as connection:
            known = connection.execute(
                "SELECT setting FROM pg_settings WHERE name = 'output_plugin_libraries'"
            ).fetchone()
            if known and "wal2json" not in known[0]:
                connection.execute("ALTER SYSTEM SET output_plugin_libraries = pgoutput, test_decoding, wal2json")
                connection.execute("SELECT pg_reload_conf()")


class Kafka(Server):
    """One broker in KRaft mode, lean by default."""

    name = "kafka"

    def __init__(self, folder: Path, data: Path, cache: Path, ports: tuple[int, int]) -> None:
        super().__init__(folder, data)
        self._cache = cache
        self._port, self._controller = ports
        self._properties = data / "server.properties"

    def prepare(self) -> None:
        """Format the log folder: without it a broker runs at other feature levels."""
        self.data.mkdir(parents=True, exist_ok=True)
        logs = self.data / "logs"
        (self.data / "log4j2.xml").write_text(_LOG4J)
        self._properties.write_text(
            "process.roles=broker,controller\nnode.id=1\n"
            f"controller.quorum.voters=1@127.0.0.1:{self._controller}\n"
            f"listeners=PLAINTEXT://127.0.0.1:{self._port},CONTROLLER://127.0.0.1:{self._controller}\n"
            f"advertised.listeners=PLAINTEXT://127.0.0.1:{self._port}\n"
            "controller.listener.names=CONTROLLER\n"
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n"
            "inter.broker.listener.name=PLAINTEXT\n"
            f"log.dirs={logs}\n"
            "offsets.topic.replication.factor=1\noffsets.topic.num.partitions=1\n"
            "transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n"
            "transaction.state.log.num.partitions=1\n"
            "share.coordinator.state.topic.replication.factor=1\nshare.coordinator.state.topic.min.isr=1\n"
            "group.initial.rebalance.delay.ms=0\nauto.create.topics.enable=false\n"
            "log.cleaner.dedupe.buffer.size=1048577\n"
        )
        if not (logs / "meta.properties").exists():
            shutil.rmtree(logs, ignore_errors=True)
            tool = [java(), "-cp", f"{kafka_libs(self._cache)}/*", "kafka.tools.StorageTool"]
            cluster = run([*tool, "random-uuid"]).stdout.strip().splitlines()[-1]
            run([*tool, "format", "-t", cluster, "-c", str(self._properties)])

    def launch(self) -> None:
        """Start the broker; benchmarks ask for the full JVM."""
        if os.environ.get("DEV_KAFKA_FULL_JVM"):
            flags = ["-Xmx1g", "-Xms1g"]
        else:
            flags = [
                "-Xmx160m",
                "-Xss256k",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-XX:-UsePerfData",
            ]
        archive = class_archive(self._cache)
        if archive.exists() and not os.environ.get("DEV_KAFKA_FULL_JVM"):
            flags += [f"-XX:SharedArchiveFile={archive}", "-Xshare:auto"]
        elif not os.environ.get("DEV_KAFKA_FULL_JVM"):
            flags += [f"-XX:ArchiveClassesAtExit={archive}"]
        flags.append(f"-Dlog4j2.configurationFile={self.data / 'log4j2.xml'}")
        self.process.start(
            [java(), *flags, "-cp", f"{kafka_libs(self._cache)}/*", "kafka.Kafka", str(self._properties)],
            cwd=self.data,
        )

    def ready(self) -> bool:
        """The broker answers a metadata request with itself."""
        client = AdminClient(
            {"bootstrap.servers": f"127.0.0.1:{self._port}", "log_level": 0, "socket.timeout.ms": 1000}
        )
        try:
            return bool(client.list_topics(timeout=1).brokers)
        except KafkaException:
            return False


class Registry(Server):
    """Apicurio Registry, whose schemas survive a restart."""

    name = "registry"

    def __init__(self, folder: Path, data: Path, cache: Path, ports: tuple[int, int]) -> None:
        super().__init__(folder, data)
        self._cache = cache
        self._port, self._management = ports

    def launch(self) -> None:
        """Start it on an H2 file."""
        binary = registry_java()
        if binary is None:
            raise StackError("no Java 21 or newer for the registry: run `python -m dev install`")
        self.data.mkdir(parents=True, exist_ok=True)
        jar = next(registry_home(self._cache).rglob("quarkus-run.jar"))
        self.process.start(
            [
                binary, "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                f"-Dquarkus.http.port={self._port}", "-Dquarkus.http.host=127.0.0.1",
                f"-Dquarkus.management.port={self._management}", "-Dquarkus.management.host=127.0.0.1",
                "-jar", str(jar),
            ],
            env={
                **os.environ,
                "APICURIO_STORAGE_KIND": "sql",
                "APICURIO_STORAGE_SQL_KIND": "h2",
                "APICURIO_DATASOURCE_URL": f"jdbc:h2:file:{self.data / 'schemas'}",
            },
            cwd=self.data,
        )  # fmt: skip

    def ready(self) -> bool:
        """It lists its subjects."""
        try:
            return self._call("GET", "/subjects") is not None
        except (urllib.error.URLError, OSError, ValueError):
            return False

    def settle(self) -> None:
        """Confluent's default; Apicurio's own is to check nothing."""
        self._call("PUT", "/config", {"compatibility": "BACKWARD"})

    def _call(self, method: str, path: str, body: object = None) -> object:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}/apis/ccompat/v7{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/vnd.schemaregistry.v1+json"},
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.loads(answer.read())


_LOG4J = """<Configuration><Appenders><Console name="out"><PatternLayout pattern="%d %p %c %m%n"/></Console>
</Appenders><Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers></Configuration>
"""


def _unprivileged() -> pwd.struct_passwd | None:
    """Whom PostgreSQL runs as: it refuses root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        say("no user postgres: using nobody")
        return pwd.getpwnam("nobody")


def _as(user: pwd.struct_passwd | None) -> list[str]:
    if user is None:
        return []
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
