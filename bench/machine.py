"""What the figures were measured on."""

from __future__ import annotations

import os
from pathlib import Path

from dev.fetch import KAFKA_VERSION
from dev.stack import NAMES, Stack

_FULL_JVM = "DEV_KAFKA_FULL_JVM"


def started(stack: Stack) -> Stack:
    """The stack, started where it does not run; Kafka then with the whole JIT compiler, as in production."""
    if not all(stack.running(name) for name in NAMES):
        os.environ.setdefault(_FULL_JVM, "1")
        stack.start()
    return stack


def machine(stack: Stack) -> dict[str, object]:
    """Cores, memory, versions, and whether Kafka runs with a full JVM."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    pid = stack.pid("kafka")
    lean = pid is not None and b"-XX:TieredStopAtLevel=1" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return {
        "cores": os.cpu_count(),
        "memory_bytes": memory,
        "postgresql": stack.postgres_version,
        "wal2json": stack.wal2json_version,
        "kafka": KAFKA_VERSION,
        "kafka_jvm": "lean" if lean else "full",
    }
