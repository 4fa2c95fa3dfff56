"""A Kafka Connect worker of the benchmark's own: a full JVM, connectors by its REST interface."""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from dev.fetch import kafka_libs
from dev.java import KAFKA_JAVA, java
from dev.kafka import LOG4J
from dev.ports import free_ports
from dev.process import Process
from dev.rest import call
from dev.stack import Stack

# As Kafka's own bin/connect-standalone.sh runs it: its heap, its collector, the whole JIT compiler.
_JVM = (
    "-Xms256M", "-Xmx2G", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent", "-Djava.awt.headless=true",
)  # fmt: skip
_NOT_FOUND = 404
_SECONDS = 90.0


class Worker:
    """One standalone worker: what a connector has read is kept in a file between its stop and its start."""

    def __init__(self, stack: Stack, name: str, plugins: Sequence[Path]) -> None:
        self._stack = stack
        self._plugins = plugins
        self._folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
        self._process = Process(name, self._folder, self._folder)
        self._url = f"http://127.0.0.1:{free_ports(('rest',))['rest']}"

    @property
    def pid(self) -> int:
        """Of the JVM.

        Raises:
            SystemExit: it is gone.
        """
        pid = self._process.pid
        if pid is None:
            raise SystemExit(f"the worker died; it said:\n{self.said()}")
        return pid

    def start(self) -> None:
        """Start it and wait until it takes connectors; that it compiles and loads later belongs to its work."""
        settings = {
            "bootstrap.servers": self._stack.bootstrap_servers,
            "listeners": self._url,
            "plugin.path": ",".join(map(str, self._plugins)),
            "plugin.discovery": "service_load",
            "key.converter": "org.apache.kafka.connect.converters.ByteArrayConverter",
            "value.converter": "org.apache.kafka.connect.converters.ByteArrayConverter",
            "offset.storage.file.filename": str(self._folder / "offsets"),
        }
        properties = self._folder / "worker.properties"
        properties.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        logging = self._folder / "log4j2.xml"
        logging.write_text(LOG4J)
        main = ["-cp", f"{kafka_libs(self._stack.cache)}/*", "org.apache.kafka.connect.cli.ConnectStandalone"]
        log4j = f"-Dlog4j2.configurationFile={logging}"
        self._process.start([java(KAFKA_JAVA), *_JVM, log4j, *main, properties])
        self._process.wait_ready(self._answers, _SECONDS)

    def run(self, connector: str, settings: Mapping[str, str]) -> None:
        """Start a connector, from where it stopped last; come back when its task runs.

        Raises:
            SystemExit: it failed.
        """
        call(f"{self._url}/connectors/{connector}/config", "PUT", {"name": connector, **settings})
        deadline = time.monotonic() + _SECONDS
        while not self.running(connector):
            if time.monotonic() > deadline:
                raise SystemExit(f"{connector} does not run after {_SECONDS:.0f} s; the worker said:\n{self.said()}")
            time.sleep(0.02)

    def running(self, connector: str) -> bool:
        """Whether its task runs.

        Raises:
            SystemExit: it failed.
        """
        status = self._status(connector)
        if not status:
            return False
        states = [status["connector"], *status["tasks"]]
        for state in states:
            if state["state"] == "FAILED":
                raise SystemExit(f"{connector} failed: {state['trace']}")
        return bool(status["tasks"]) and all(state["state"] == "RUNNING" for state in states)

    def halt(self, connector: str) -> None:
        """Stop a connector in order; it commits what it has sent."""
        if self._process.pid is None:
            # Whoever waits for it is told by `pid`.
            return
        call(f"{self._url}/connectors/{connector}", "DELETE")
        deadline = time.monotonic() + _SECONDS
        while self._status(connector) and time.monotonic() < deadline:
            time.sleep(0.02)

    def said(self) -> str:
        """The end of its log."""
        log = self._process.log
        return "\n".join(log.read_text(errors="replace").splitlines()[-40:]) if log.exists() else ""

    def end(self) -> None:
        """End the process, and forget what it kept."""
        self._process.end(signal.SIGTERM)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            return isinstance(call(f"{self._url}/connectors"), list)
        except (OSError, ValueError):
            return False

    def _status(self, connector: str) -> dict[str, Any]:
        """What the worker says of a connector; nothing of one that it does not know, or not yet."""
        try:
            found: Any = call(f"{self._url}/connectors/{connector}/status")
        except HTTPError as error:
            if error.code != _NOT_FOUND:
                raise
            return {}
        return dict(found)
