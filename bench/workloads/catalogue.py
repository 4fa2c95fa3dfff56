"""All workloads, in the order in which they are run."""

from __future__ import annotations

from bench.workloads import growth, snapshots, streams

WORKLOADS = (*streams.WORKLOADS, *snapshots.WORKLOADS, *growth.WORKLOADS)
