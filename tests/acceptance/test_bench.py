"""`python -m bench`, in small: it runs, counts, and its results have the form that readers expect."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import psycopg

from bench import kafka
from dev.stack import Stack
from tests import harness

_FIELDS = {
    "workload", "system", "rate_per_second", "cpu_seconds_per_million", "peak_rss_bytes", "ratio_to_limit", "rounds",
    "disturbed", "scale", "machine",
}  # fmt: skip


def _bench(*arguments: str) -> tuple[int, subprocess.CompletedProcess[str]]:
    """Its process's id, which its names bear; how it ended."""
    command = [sys.executable, "-m", "bench", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            out, err = process.communicate(timeout=150)
        except BaseException:
            process.kill()
            raise
    return process.pid, subprocess.CompletedProcess(command, process.returncode, out, err)


def test_a_trial_writes_results_and_leaves_nothing(stack: Stack, tmp_path: Path) -> None:
    """One workload of each kind; results that say what they are of; no database, slot or topic afterwards."""
    path = tmp_path / "results.json"
    before = _named(stack)
    tuples = harness.PLUGIN == "pgoutput"
    ours = ["pg-producer", *(["pg-producer-pgoutput"] if tuples else [])]
    pid, done = _bench(
        "W-update-8", "W-snap", "W-latency", "--scale", "0.005", "--rounds", "1", "--repeats", "0",
        "--results", str(path), *(["--plugin", "pgoutput"] if tuples else []),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads(path.read_text())
    limits = ["pg_recvlogical", *(["pg_recvlogical-pgoutput"] if tuples else [])]
    assert [(result["workload"], result["system"]) for result in results] == [
        *(("W-update-8", system) for system in (*limits, *ours)),
        *(("W-snap", system) for system in ("copy", "produce", *ours)),
        *(("W-latency", system) for system in ours),
    ]
    for result in results:
        assert result.keys() >= _FIELDS
        assert result["machine"]["kafka_jvm"] in ("lean", "full")
        assert result["rate_per_second"] > 0
        assert result["peak_rss_bytes"] > 1_000_000
    by_name = {(result["workload"], result["system"]): result for result in results}
    assert by_name["W-snap", "copy"]["ratio_to_limit"] is None
    assert by_name["W-snap", "pg-producer"]["ratio_to_limit"] > 0
    assert by_name["W-update-8", "pg_recvlogical"]["ratio_to_limit"] == 1
    latency = by_name["W-latency", "pg-producer"]
    assert 0 <= latency["p50_ms"] <= latency["p99_ms"] <= latency["max_ms"]
    for name in {result["workload"] for result in results}:
        assert name in done.stdout
    # Another test's benchmark may run beside it.
    assert {name for name in _named(stack) - before if _of(name) in (pid, None)} == set()


def test_workloads_are_named() -> None:
    """A name that is none is refused before anything runs; --list names all."""
    _, refused = _bench("W-nothing")
    assert refused.returncode != 0
    assert "W-nothing" in refused.stderr
    _, listed = _bench("--list")
    for name in ("W-insert", "W-update-1", "W-many", "W-start-1000", "W-memory", "W-growth-rows-1000000"):
        assert name in listed.stdout


def _of(name: str) -> int | None:
    """The process that made it, where its name tells."""
    found = re.match(r"(?:producer_)?bench_(\d+)_", name)
    return int(found[1]) if found else None


def _named(stack: Stack) -> set[str]:
    """What benchmarks have in the stack now."""
    with psycopg.connect(stack.postgres_dsn(), autocommit=True) as connection:
        rows = connection.execute(
            "SELECT datname FROM pg_database UNION SELECT slot_name FROM pg_replication_slots"
        ).fetchall()
    names = {str(row[0]) for row in rows} | set(kafka.topics(stack))
    return {name for name in names if name.startswith(("bench_", "producer_bench_"))}
