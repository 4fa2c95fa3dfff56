"""Every metric is documented, typed, and has the value that the counters have."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from producer.figures import BUCKETS_MS
from producer.observe import Counters
from producer.serve.__main__ import document
from producer.serve.metrics import BEHIND, METRICS, PREFIX, Exposition, Subject
from producer.settings import load_settings
from producer.transcode.counts import Counts
from tests.connector import StillClock

ROOT = Path(__file__).resolve().parents[3]
Values = dict[tuple[str, ...], float]


def filled() -> Counters:
    """Counters that leave no metric without a value."""
    counters, counts = Counters(), Counts()
    for op, times in (("c", 1), ("u", 2), ("d", 3), ("t", 4), ("m", 5)):
        for _ in range(times):
            counts.add(op)
    counters.events = {'public."odd\\\n': counts, "public.still": Counts()}
    for name, sent in (("public.a", 7), ("public.b", 0)):
        counters.awaits(name, 10).sent = sent
    copied = counters.snapshots["public.a"]
    copied.state, copied.chunks, copied.chunks_done = "copying", 5, 2
    counters.lost_changes["public.k"] = 6
    counters.errors["ConversionError"] = 8
    counters.recent.fault("KafkaUnavailable", "away", "wait")
    counters.acks, counters.in_flight_bytes, counters.skipped, counters.reconnects = 11, 12, 13, 14
    counters.slot_lag_bytes, counters.slot_retained_bytes, counters.slot_safe_bytes = 15, 16, 17
    counters.slot_wal_status, counters.slot_seconds_left = "extended", 18.5
    counters.registry.note("answered")
    counters.lag.sent(1, 99_950_000, 3)
    counters.lag.acked(1, lambda: 100_000_000)
    counters.lag.sent(2, 90_000_000, 4)
    counters.condition.enter("streaming", 100)
    return counters


def scraped(counters: Counters) -> dict[str, Values]:
    settings = load_settings(None, ["topic.prefix=p", "slot.max.retained.bytes=19"], {}).settings
    text = Exposition(Subject(settings, counters, StillClock(), 5000)).text().decode()
    found: dict[str, Values] = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        for sample in family.samples:
            labels = tuple(value for _, value in sorted(sample.labels.items()))
            found.setdefault(sample.name.removeprefix(PREFIX), {})[labels] = sample.value
    return found


def test_the_page_is_made_from_the_code() -> None:
    """docs/metrics.md is what `python -m producer.serve` prints."""
    assert (ROOT / "docs" / "metrics.md").read_text() == document()


def test_every_metric_has_the_value_that_was_counted() -> None:
    found = scraped(filled())
    declared = {metric.name for metric in METRICS} | {f"{BEHIND}_{part}" for part in ("bucket", "count", "sum")}
    assert found.keys() == declared
    odd = 'public."odd\\\n'
    assert found["events_total"] == {(op, odd): number for number, op in enumerate("cudtm", 1)}
    assert found["snapshot_rows_total"] == {("public.a",): 7, ("public.b",): 0}
    assert found["snapshot_chunks_done"] == {("public.a",): 2, ("public.b",): 0}
    assert found["snapshot_chunks_to_do"] == {("public.a",): 3, ("public.b",): 1}
    assert found["errors_total"] == {("ConversionError",): 8, ("KafkaUnavailable",): 1}
    assert found["lost_changes_total"] == {("public.k",): 6}
    assert found["registry_calls_total"] == {("answered",): 1, ("refused",): 0, ("failed",): 0}
    assert found["slot_wal_status"][("extended",)] == sum(found["slot_wal_status"].values()) == 1
    assert found["phase"][("streaming",)] == sum(found["phase"].values()) == 1
    plain = {name: values[()] for name, values in found.items() if values.keys() == {()}}
    assert plain == {
        "acks_total": 11, "in_flight_bytes": 12, "in_flight_limit_bytes": 67108864, "skipped_events_total": 13,
        "reconnects_total": 14, "slot_lag_bytes": 15, "slot_retained_wal_bytes": 16, "slot_safe_wal_bytes": 17,
        "slot_budget_seconds": 18.5, "slot_retained_limit_bytes": 19, "healthy": 1, "start_time_seconds": 5,
        "unacked_milliseconds": 10_000, f"{BEHIND}_count": 3, f"{BEHIND}_sum": 150,
    }  # fmt: skip


def test_the_histogram_is_cumulative() -> None:
    buckets = scraped(filled())[f"{BEHIND}_bucket"]
    assert len(buckets) == len(BUCKETS_MS) + 1
    by_limit = {float(limit): count for (limit,), count in buckets.items()}
    assert {count for limit, count in by_limit.items() if limit < 50} == {0}
    assert {count for limit, count in by_limit.items() if limit >= 50} == {3}


def test_what_has_no_value_is_absent_and_counters_begin_at_0() -> None:
    found = scraped(Counters())
    for name in ("slot_lag_bytes", "slot_safe_wal_bytes", "slot_budget_seconds", "slot_wal_status", "events_total"):
        assert name not in found
    assert found["acks_total"] == found[f"{BEHIND}_count"] == {(): 0}


def test_a_table_that_is_to_be_copied_again_waits_with_a_chunk_at_least() -> None:
    """A slot that was lost is recovered from; what is marked of a copy that goes on stays done."""
    counters = Counters()
    for name, done in (("public.whole", 5), ("public.part", 2)):
        counters.awaits(name, 10).add(7)
        table = counters.snapshots[name]
        table.state, table.chunks, table.chunks_done = "read", 5, done
        counters.awaits(name, 10)
    found = scraped(counters)
    assert found["snapshot_chunks_done"] == {("public.part",): 2, ("public.whole",): 0}
    assert found["snapshot_chunks_to_do"] == {("public.part",): 3, ("public.whole",): 1}
    assert found["snapshot_rows_total"] == {("public.part",): 7, ("public.whole",): 7}


def test_types_and_names_are_prometheus_ones() -> None:
    assert all(metric.name.endswith("_total") == (metric.kind == "counter") for metric in METRICS)
    assert len({metric.name for metric in METRICS}) == len(METRICS)
