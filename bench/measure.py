"""What a piece of work cost: seconds, processor seconds of each process, memory.

Linux's /proc, in clock ticks (10 ms); a child's own processor time by wait4.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_SAMPLE_SECONDS = 0.01
_FIND_EVERY = 5

Find = Callable[[], Sequence[int]]
"""The pids of the server's processes that work for a system now."""


def processor_seconds(pid: int) -> float:
    """User and system time of a process so far; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICK


def peak_rss(pid: int) -> int:
    """VmHWM in bytes; 0 when it is gone. wait4's ru_maxrss would count our own memory from before exec."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0)


def _busy_seconds() -> float:
    """Processor time that the whole machine spent working so far, stolen time too."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields
    return (user + nice + system + irq + softirq + steal) / _TICK


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one run of one system."""

    seconds: float
    """From the line that says that the work begins to the end of the process."""
    processor: float
    """The system's own processes, all threads, from their first instruction."""
    start_processor: float
    """What of it was spent before the work began."""
    peak_rss: int
    backends: float
    """PostgreSQL's processes that worked for it."""
    broker: float
    foreign: float
    """Processor time of everything else on the machine, as a share of it, meanwhile."""


class _Watch(threading.Thread):
    """Samples processes that come and go: the last sample of each counts."""

    def __init__(self, systems: Sequence[int], find: Find) -> None:
        super().__init__(daemon=True)
        self._systems = systems
        self._find = find
        self._ended = threading.Event()
        self._first: dict[int, float] = {}
        self._last: dict[int, float] = {}
        self.peak_rss = 0

    @property
    def seconds(self) -> float:
        """Processor seconds of the server's processes since each was first seen."""
        return sum(last - self._first[pid] for pid, last in self._last.items())

    def look(self, *, new: bool) -> None:
        """Take a sample; a process that is `new` counts from its beginning, else from now."""
        for pid in self._find():
            self._first.setdefault(pid, 0.0 if new else processor_seconds(pid))
            self._last.setdefault(pid, self._first[pid])

    def run(self) -> None:
        """Sample until ended; the server is asked for its processes less often."""
        turn = 0
        while not self._ended.wait(_SAMPLE_SECONDS):
            if turn % _FIND_EVERY == 0:
                self.look(new=True)
            turn += 1
            self.sample()

    def sample(self) -> None:
        """What each process has used so far, and the system's memory."""
        for pid, before in self._last.items():
            self._last[pid] = max(before, processor_seconds(pid))
        self.peak_rss = max(self.peak_rss, sum(peak_rss(pid) for pid in self._systems))

    def end(self) -> None:
        """Take no more samples."""
        self._ended.set()
        self.join()


def run(command: Sequence[str], env: Mapping[str, str], *, since: str, find: Find, broker: int | None = None) -> Cost:
    """Run a command to its end; it is killed when we are interrupted.

    `since`: the line on stderr from which on the time counts.

    Raises:
        SystemExit: it failed, or never said that it began.
    """
    broker_before = processor_seconds(broker) if broker else 0.0
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    watch = _Watch([process.pid], find)
    watch.start()
    began = busy_before = start = 0.0
    lines = []
    assert process.stderr is not None
    try:
        for line in process.stderr:
            lines.append(line)
            if not began and since in line:
                began = time.monotonic()
                start = processor_seconds(process.pid)
                busy_before = _busy_seconds()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        busy = _busy_seconds() - busy_before
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        if process.returncode is None:
            process.kill()
            process.wait()
        watch.end()
        process.stderr.close()
    if process.returncode != 0 or not began:
        raise SystemExit(f"{command[0]} ended with {process.returncode}; it said:\n{''.join(lines[-20:])}")
    own = usage.ru_utime + usage.ru_stime
    by_broker = processor_seconds(broker) - broker_before if broker else 0.0
    foreign = _share(busy - (own - start) - watch.seconds - by_broker, seconds)
    return Cost(seconds, own, start, watch.peak_rss, watch.seconds, by_broker, foreign)


class Stretch:
    """A while in which a system that runs on is watched; `cost` is there when it is over."""

    def __init__(self) -> None:
        self.cost = Cost(0.0, 0.0, 0.0, 0, 0.0, 0.0, 0.0)


@contextmanager
def watched(
    systems: Sequence[int], find: Find, *, broker: int | None = None, ours: Find = lambda: ()
) -> Iterator[Stretch]:
    """What running processes cost from here to the block's end.

    `ours`: other processes that work for us meanwhile, which are not foreign either.
    """
    stretch = Stretch()
    watches = (watch, helpers) = _Watch(systems, find), _Watch([], ours)
    for each in watches:
        each.look(new=False)
    counters: tuple[Callable[[], float], ...] = (
        time.monotonic,
        lambda: sum(map(processor_seconds, systems)),
        lambda: processor_seconds(broker) if broker else 0.0,
        time.process_time,
        _busy_seconds,
    )
    before = [counter() for counter in counters]
    for each in watches:
        each.start()
    try:
        yield stretch
    finally:
        after = [counter() for counter in counters]
        for each in watches:
            each.end()
            each.sample()
    seconds, own, by_broker, by_us, busy = (late - early for late, early in zip(after, before, strict=True))
    foreign = _share(busy - own - watch.seconds - helpers.seconds - by_broker - by_us, seconds)
    stretch.cost = Cost(seconds, own, 0.0, watch.peak_rss, watch.seconds, by_broker, foreign)


def _share(busy: float, seconds: float) -> float:
    return max(0.0, busy) / (seconds * (os.cpu_count() or 1))
