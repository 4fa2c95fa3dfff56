"""Apicurio Registry, spoken to through its Confluent interface.

Room: dev (IO). Apicurio Registry's manual, "Configuring storage"; Confluent's registry API.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from dev.fetch import registry_home
from dev.java import REGISTRY_JAVA, java
from dev.rest import call
from dev.server import Server, heap_size
from dev.shell import StackError

HOST = "127.0.0.1"
PATH = "/apis/ccompat/v7"


class Registry(Server):
    """A registry whose schemas and ids survive kill -9."""

    name = "registry"

    def __init__(self, folder: Path, data: Path, cache: Path, ports: Mapping[str, int]) -> None:
        super().__init__(folder, data)
        self._cache = cache
        self._port = ports["registry"]
        self._management = ports["management"]
        self._settled = data / "settled"

    def prepare(self) -> None:
        """Make the folder of its database."""
        self.data.mkdir(parents=True, exist_ok=True)

    def launch(self) -> None:
        """Start it on an H2 file, every commit written at once."""
        jar = next(registry_home(self._cache).rglob("quarkus-run.jar"), None)
        if jar is None:
            raise StackError(f"no registry in {self._cache}: delete that folder and run `python -m dev fetch`")
        self.process.start(
            [
                java(REGISTRY_JAVA), f"-Xmx{heap_size('DEV_REGISTRY_HEAP', '512m')}",
                "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                f"-Dquarkus.http.host={HOST}", f"-Dquarkus.http.port={self._port}",
                f"-Dquarkus.management.host={HOST}", f"-Dquarkus.management.port={self._management}",
                "-jar", jar,
            ],
            env={
                **os.environ,
                "APICURIO_STORAGE_KIND": "sql",
                "APICURIO_STORAGE_SQL_KIND": "h2",
                "APICURIO_DATASOURCE_URL": f"jdbc:h2:file:{self.data / 'schemas'};WRITE_DELAY=0",
            },
        )  # fmt: skip

    def ready(self) -> bool:
        """True when it lists its subjects."""
        try:
            return isinstance(self._call("GET", "/subjects"), list)
        except (OSError, ValueError):
            return False

    def settle(self) -> None:
        """Set Confluent's default, once: Apicurio's own is to check nothing."""
        if self._settled.exists():
            return
        try:
            self._call("PUT", "/config", {"compatibility": "BACKWARD"})
        except (OSError, ValueError) as error:
            raise StackError(f"the registry refuses a compatibility level: {error}") from error
        self._settled.touch()

    def _call(self, method: str, path: str, body: object = None) -> object:
        url = f"http://{HOST}:{self._port}{PATH}{path}"
        return call(url, method, body, content_type="application/vnd.schemaregistry.v1+json")
