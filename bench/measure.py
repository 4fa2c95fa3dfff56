"""What a piece of work cost: seconds, processor seconds of each process, memory.

Linux's /proc, in clock ticks; a child's own usage by wait4.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def processor_seconds(pid: int) -> float:
    """User and system time of a process so far; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICK


@dataclass(slots=True)
class Cost:
    """Of one run of one system."""

    seconds: float
    processor: float
    peak_rss: int
    others: dict[str, float] = field(default_factory=dict)
    """Processor seconds of the servers that worked for it."""
    output: str = ""


class Watch(threading.Thread):
    """Samples the processor time of processes that come and go: the last sample counts."""

    def __init__(self, find: Callable[[], Sequence[int]]) -> None:
        super().__init__(daemon=True)
        self._find = find
        self._ended = threading.Event()
        self._last: dict[int, float] = {}

    def run(self) -> None:
        """Sample until ended."""
        while not self._ended.wait(0.05):
            for pid in self._find():
                self._last[pid] = max(self._last.get(pid, 0.0), processor_seconds(pid))

    def end(self) -> float:
        """Processor seconds of all that were seen."""
        self._ended.set()
        self.join()
        return sum(self._last.values())


def run(command: Sequence[str], env: dict[str, str], *, since: str = "", backends: Watch, broker: int | None) -> Cost:
    """Run a command to its end.

    `since`: the line on stderr from which on the time counts (start-up is told apart); its
    processor time counts as a whole.
    """
    before = processor_seconds(broker) if broker else 0.0
    backends.start()
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    began = time.monotonic()
    lines = []
    assert process.stderr is not None
    for line in process.stderr:
        lines.append(line)
        if since and since in line:
            began = time.monotonic()
            since = ""
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    process.stderr.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    output = "".join(lines)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{output}")
    others = {"backends": backends.end()}
    if broker:
        others["broker"] = processor_seconds(broker) - before
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, others, output)
