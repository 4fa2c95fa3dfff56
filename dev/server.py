"""What the stack asks of each of its servers.

Room: dev (IO).
"""

from __future__ import annotations

import os
import signal
from abc import ABC, abstractmethod
from pathlib import Path

from dev.process import Process
from dev.shell import StackError, say


class Server(ABC):
    """One server: prepared once, started, probed, stopped."""

    name: str
    stop_signal = signal.SIGTERM

    def __init__(self, folder: Path, data: Path) -> None:
        self.data = data
        self.process = Process(self.name, folder, data)

    def start(self) -> None:
        """Start it when it does not run, and wait until it is ready."""
        if not self._answers():
            # Orphans of a server that died would hold its data.
            self.process.end(signal.SIGKILL)
            self.prepare()
            self.launch()
            self.process.wait_ready(self.ready)
        self.settle()

    def _answers(self) -> bool:
        """True when it runs already; one that was just killed may still seem to."""
        if self.process.pid is None:
            return False
        try:
            self.process.wait_ready(self.ready)
        except StackError as error:
            say(f"starting anew: {error}")
            return False
        return True

    def stop(self) -> None:
        """End it orderly."""
        self.process.end(self.stop_signal)

    def kill(self) -> None:
        """kill -9, children too."""
        self.process.end(signal.SIGKILL)

    @abstractmethod
    def prepare(self) -> None:
        """Make what it needs to start; the data only once."""

    @abstractmethod
    def launch(self) -> None:
        """Start its process."""

    @abstractmethod
    def ready(self) -> bool:
        """True when it answers a real request."""

    @abstractmethod
    def settle(self) -> None:
        """Set what can only be set on a running server."""


def heap_size(variable: str, default: str) -> str:
    """A JVM's heap size from the environment.

    Raises:
        StackError: it is none.
    """
    size = os.environ.get(variable, default)
    if not (size[:-1].isdigit() and size[-1] in "kmgKMG"):
        raise StackError(f"{variable}={size} is no heap size: write it like 512m or 1g")
    return size
