"""All workloads, in the order in which they are run."""

from __future__ import annotations

from bench.workloads import growth, idle, latency, memory, snapshots, start, streams

WORKLOADS = (
    *streams.WORKLOADS,
    *snapshots.WORKLOADS,
    *latency.WORKLOADS,
    *idle.WORKLOADS,
    *start.WORKLOADS,
    *memory.WORKLOADS,
    *growth.WORKLOADS,
)
