"""Kafka Connect, one worker on its own, with Debezium's JDBC sink and an Avro converter.

Room: dev (IO). Kafka's documentation, "Running Kafka Connect". A reader of our topics that we did not write.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dev.fetch import connect_plugins, kafka_libs
from dev.java import KAFKA_JAVA, java
from dev.kafka import LEAN, LOG4J, class_archive
from dev.rest import call
from dev.server import Server, heap_size

HOST = "127.0.0.1"


class Connect(Server):
    """A standalone worker: connectors come by REST, and are forgotten when it ends."""

    name = "connect"

    def __init__(self, folder: Path, data: Path, cache: Path, ports: Mapping[str, int]) -> None:
        super().__init__(folder, data)
        self._cache = cache
        self._port = ports["connect"]
        self._kafka = ports["kafka"]
        self._properties = data / "worker.properties"

    def prepare(self) -> None:
        """Write the settings."""
        self.data.mkdir(parents=True, exist_ok=True)
        (self.data / "log4j2.xml").write_text(LOG4J)
        settings = {
            "bootstrap.servers": f"{HOST}:{self._kafka}",
            "listeners": f"http://{HOST}:{self._port}",
            "plugin.path": str(connect_plugins(self._cache)),
            # All plugins have manifests (dev/fetch.py): no class is read to look for them.
            "plugin.discovery": "service_load",
            # Each connector names its own.
            "key.converter": "org.apache.kafka.connect.converters.ByteArrayConverter",
            "value.converter": "org.apache.kafka.connect.converters.ByteArrayConverter",
            "offset.storage.file.filename": str(self.data / "offsets"),
            # A sink commits to Kafka what it has written this often: a test that waits for it does not wait long.
            "offset.flush.interval.ms": "500",
        }
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    def launch(self) -> None:
        """Start the worker; it waits for Kafka by itself."""
        flags = [f"-Xmx{heap_size('DEV_CONNECT_HEAP', '256m')}", *LEAN]
        if archive := class_archive(self._cache):
            flags += [f"-XX:SharedArchiveFile={archive}", "-Xshare:auto"]
        logging = f"-Dlog4j2.configurationFile={self.data / 'log4j2.xml'}"
        worker = "org.apache.kafka.connect.cli.ConnectStandalone"
        classes = f"{kafka_libs(self._cache)}/*"
        self.process.start([java(KAFKA_JAVA), *flags, logging, "-cp", classes, worker, self._properties])

    def ready(self) -> bool:
        """True when it lists its connectors."""
        try:
            return isinstance(call(f"http://{HOST}:{self._port}/connectors"), list)
        except (OSError, ValueError):
            return False

    def settle(self) -> None:
        """Nothing: all is set in its file."""
