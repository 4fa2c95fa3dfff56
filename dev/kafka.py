"""One Kafka broker in KRaft mode: lean by default, a full JVM for benchmarks.

Room: dev (IO). Kafka's documentation, "KRaft"; Java's "Class Data Sharing".
"""

from __future__ import annotations

import base64
import os
import shutil
import signal
import socket
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from dev.fetch import KAFKA_VERSION, kafka_libs, once
from dev.java import KAFKA_JAVA, feature_version, java
from dev.ports import free_ports
from dev.server import Server, heap_size
from dev.shell import StackError, run, say

HOST = "127.0.0.1"
# A quick start counts for more than speed: half the time and a third of the memory.
LEAN = ("-Xss256k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
LOG4J = """<Configuration><Appenders><Console name="out"><PatternLayout pattern="%d %p %c %m%n"/></Console>
</Appenders><Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers></Configuration>
"""


def cluster_id() -> str:
    """A new cluster's, as Kafka writes them; none begins with a dash."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "_")


class Kafka(Server):
    """A broker that is its own controller.

    `more` are settings that go before ours; `users` are arguments of --add-scram; a broker of several has a
    `node` id of its own, all have `cluster` and `voters` in common.
    """

    name = "kafka"

    def __init__(
        self,
        folder: Path,
        data: Path,
        cache: Path,
        ports: Mapping[str, int],
        *,
        more: Mapping[str, str] | None = None,
        users: Sequence[str] = (),
        node: int = 1,
        cluster: str = "",
        voters: str = "",
    ) -> None:
        super().__init__(folder, data)
        self._cache = cache
        self._port = ports["kafka"]
        self._controller = ports["controller"]
        self._properties = data / "server.properties"
        self._more = more or {}
        self._users = users
        self._node = node
        self._cluster = cluster or cluster_id()
        self._voters = voters or f"{node}@{HOST}:{self._controller}"

    def prepare(self) -> None:
        """Write the settings, and format the log folder once: unformatted, other feature levels would hold."""
        self.data.mkdir(parents=True, exist_ok=True)
        logs = self.data / "logs"
        (self.data / "log4j2.xml").write_text(LOG4J)
        self._properties.write_text(self._settings(logs))
        if (logs / "meta.properties").exists():
            return
        unfinished = self.data / "logs.unfinished"
        for leftover in (logs, unfinished):
            shutil.rmtree(leftover, ignore_errors=True)
        properties = self.data / "format.properties"
        properties.write_text(self._settings(unfinished))
        tool = [str(java(KAFKA_JAVA)), *LEAN, "-cp", self._classes, "kafka.tools.StorageTool"]
        users = [word for user in self._users for word in ("--add-scram", user)]
        run([*tool, "format", "-t", self._cluster, "-c", str(properties), *users], cwd=Path("/"))
        unfinished.rename(logs)
        properties.unlink()

    def launch(self) -> None:
        """Start the broker; lean, with the archive of classes where there is one."""
        if os.environ.get("DEV_KAFKA_FULL_JVM", "0") not in ("", "0"):
            heap = heap_size("DEV_KAFKA_HEAP", "1g")
            self._run([f"-Xms{heap}", f"-Xmx{heap}"])
            return
        flags = [f"-Xmx{heap_size('DEV_KAFKA_HEAP', '160m')}", *LEAN]
        if archive := class_archive(self._cache):
            flags += [f"-XX:SharedArchiveFile={archive}", "-Xshare:auto"]
        self._run(flags)

    def train(self, archive: Path) -> None:
        """Run once from start to stop, and write the classes that it loads to an archive."""
        self.prepare()
        self._run([*LEAN, f"-XX:ArchiveClassesAtExit={archive}"])
        self.process.wait_ready(self.ready)
        self.process.end(signal.SIGTERM, seconds=60)
        if not archive.exists():
            raise StackError("Java wrote no archive")

    def ready(self) -> bool:
        """True when it names itself in a metadata answer."""
        try:
            socket.create_connection((HOST, self._port), timeout=1).close()
            # A client anew: an old one waits longer and longer before it connects again.
            client = AdminClient({"bootstrap.servers": f"{HOST}:{self._port}", "log_level": 0})
            return bool(client.list_topics(timeout=3).brokers)
        except (OSError, KafkaException):
            return False

    def settle(self) -> None:
        """Nothing: all is set in its file."""

    @property
    def _classes(self) -> str:
        return f"{kafka_libs(self._cache)}/*"

    def _run(self, flags: list[str]) -> None:
        logging = f"-Dlog4j2.configurationFile={self.data / 'log4j2.xml'}"
        self.process.start([java(KAFKA_JAVA), *flags, logging, "-cp", self._classes, "kafka.Kafka", self._properties])

    def _settings(self, logs: Path) -> str:
        settings = {
            "process.roles": "broker,controller",
            "node.id": str(self._node),
            "controller.quorum.voters": self._voters,
            "listeners": f"PLAINTEXT://{HOST}:{self._port},CONTROLLER://{HOST}:{self._controller}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{self._port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str(logs),
            # 10 MB for each partition's index, its default, cost a broker of 1,000 topics 13 seconds of page faults.
            "log.index.size.max.bytes": "262144",
            "auto.create.topics.enable": "false",
            "group.initial.rebalance.delay.ms": "0",
            # After kill -9 the broker may come back only when its old session has ended: 9 s by default.
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
            "offsets.topic.num.partitions": "1",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            # Its default of 128 MB does not fit a lean heap: the broker would exit at its start.
            "log.cleaner.dedupe.buffer.size": "1048577",
            **self._more,
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())


def make_class_archive(cache: Path) -> None:
    """Make the archive of Kafka's classes once: it halves the time to start. Without it all works too."""
    target = _archive(cache)
    try:
        once(target, lambda unfinished: _train(cache, unfinished))
    except StackError as error:
        say(f"no archive of Kafka's classes, so it starts more slowly: {error}")


def class_archive(cache: Path) -> Path | None:
    """The archive for this Java, where there is one."""
    target = _archive(cache)
    return target if target.exists() else None


def _archive(cache: Path) -> Path:
    # Another Java cannot read it.
    return cache / f"kafka-{KAFKA_VERSION}-java-{feature_version(java(KAFKA_JAVA))}.jsa"


def _train(cache: Path, archive: Path) -> None:
    say("making an archive of Kafka's classes (once)")
    with tempfile.TemporaryDirectory(prefix="pg-producer-dev-") as folder:
        here = Path(folder).resolve()
        broker = Kafka(here, here / "data", cache, free_ports(("kafka", "controller")))
        try:
            broker.train(archive)
        finally:
            broker.kill()
