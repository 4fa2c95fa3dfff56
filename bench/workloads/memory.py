"""The most memory: at a steady pace, behind, and with a Kafka that stands still."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench import kafka
from bench.database import Database, backlog
from bench.measure import Cost, peak_rss, watched
from bench.pace import paced
from bench.report import Result, targeted
from bench.rounds import progress
from bench.systems import System
from bench.tables import load_orders, orders
from bench.workloads import Bench, Workload

_RATE = 2000
_SECONDS = 15
_BEHIND = 400_000
_PATIENCE = 120.0
_STEADY_LIMIT = 120_000_000
# max.queue.size.in.bytes where nothing is set.
_QUEUE = 67_108_864
_BEHIND_LIMIT = _STEADY_LIMIT + 2 * _QUEUE


def _run(bench: Bench) -> list[Result]:
    found: list[Result] = []
    for system in bench.systems:
        with bench.database(["orders"]) as database:
            database.execute(orders())
            system.attach(database)
            steady = _steady(bench, system, database)
            progress(f"W-memory: {system.name} steady {steady.peak_rss / 1e6:.0f} MB")
            system.attach(database)
            behind = system.drain(backlog(database, bench.events(_BEHIND), load_orders)).peak_rss
            progress(f"W-memory: {system.name} behind {behind / 1e6:.0f} MB")
            stalled = _stalled(bench, system, database)
            progress(f"W-memory: {system.name} with a stalled Kafka {stalled / 1e6:.0f} MB")
        ratio = min(_STEADY_LIMIT / steady.peak_rss, _BEHIND_LIMIT / behind, _BEHIND_LIMIT / stalled)
        found.append(
            targeted(
                "W-memory",
                system.name,
                ratio=ratio,
                peak_rss=steady.peak_rss,
                rounds=1,
                disturbed=False,
                figures={
                    "limit_bytes": _STEADY_LIMIT,
                    "behind_peak_rss_bytes": behind,
                    "stalled_peak_rss_bytes": stalled,
                    "behind_limit_bytes": _BEHIND_LIMIT,
                },
            )
        )
    return found


def _steady(bench: Bench, system: System, database: Database) -> Cost:
    """Without a backlog."""
    events = round(bench.seconds(_SECONDS) * _RATE)
    topics = system.topics(database)
    with system.stream(database) as live, watched(live.processes, lambda: ()) as stretch:
        before = kafka.count(bench.stack, topics)
        with paced(database, _RATE, events) as load:
            load.wait()
        _await(bench, topics, before + events)
    return stretch.cost


def _stalled(bench: Bench, system: System, database: Database) -> int:
    """A backlog, and a broker that stops in the middle of it and goes on."""
    system.attach(database)
    topics = system.topics(database)
    before = kafka.count(bench.stack, topics)
    made = backlog(database, bench.events(_BEHIND), load_orders)
    with system.stream(database) as live:
        with _stopped(bench):
            deadline = time.monotonic() + bench.seconds(_SECONDS)
            while time.monotonic() < deadline:
                time.sleep(0.2)
        _await(bench, topics, before + made.events)
        return sum(map(peak_rss, live.processes))


@contextmanager
def _stopped(bench: Bench) -> Iterator[None]:
    """Kafka's process stands still; whatever happens, it goes on afterwards."""
    pid = bench.stack.pid("kafka")
    assert pid is not None
    try:
        os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _await(bench: Bench, topics: list[str], records: int) -> None:
    """Wait until the topics hold so many.

    Raises:
        SystemExit: they hold more, or never so many.
    """
    deadline = time.monotonic() + _PATIENCE
    while (found := kafka.count(bench.stack, topics)) < records and time.monotonic() < deadline:
        time.sleep(0.5)
    if found != records:
        raise SystemExit(f"W-memory: {found:,} records instead of {records:,}")


WORKLOADS = (Workload(("W-memory",), "the most memory: at 2,000 events a second, behind, with a stalled Kafka", _run),)
