"""Three Kafka brokers, one of which may be killed.

Room: dev (IO). Kafka's documentation, "Replication".
"""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dev.kafka import HOST, Kafka, cluster_id
from dev.ports import free_ports

_NODES = (1, 2, 3)
_SETTINGS = {"default.replication.factor": "3", "min.insync.replicas": "2"}


class Cluster:
    """Topics have three replicas, two of which must have a record before it is acked."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self._folder = folder
        ports = free_ports([f"{name}{node}" for node in _NODES for name in ("kafka", "controller")])
        cluster = cluster_id()
        voters = ",".join(f"{node}@{HOST}:{ports[f'controller{node}']}" for node in _NODES)
        self.bootstrap_servers = ",".join(f"{HOST}:{ports[f'kafka{node}']}" for node in _NODES)
        self._brokers = {}
        for node in _NODES:
            own = {name: ports[f"{name}{node}"] for name in ("kafka", "controller")}
            here = folder / str(node)
            here.mkdir(parents=True)
            self._brokers[node] = Kafka(
                here, here / "data", cache, own, more=_SETTINGS, node=node, cluster=cluster, voters=voters
            )

    def start(self, *nodes: int) -> None:
        """Start these, or all: none is ready before most of them are."""
        wanted = nodes or _NODES
        with ThreadPoolExecutor(len(wanted)) as pool:
            list(pool.map(lambda node: self._brokers[node].start(), wanted))

    def kill(self, node: int) -> None:
        """kill -9."""
        self._brokers[node].kill()

    def wipe(self) -> None:
        """End all and delete their data."""
        for broker in self._brokers.values():
            broker.kill()
        shutil.rmtree(self._folder)
