"""Every metric: its name, type, labels, meaning, and where its value comes from.

Room: serve (pure). docs/metrics.md is made from here. Prometheus, "Metric and label naming", "Exposition formats".
Nothing is counted here: the values are read from the connector's counters when somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from producer import __version__
from producer.clock import Clock
from producer.figures import BUCKETS_MS, Histogram
from producer.observe import Counters
from producer.serve import health
from producer.settings import Settings
from producer.transcode import compiled

PREFIX = "pg_producer_"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PHASES = ("starting", "snapshot", "streaming", "reconnecting", "standby")
# PostgreSQL manual, "pg_replication_slots".
_WAL_STATUS = ("reserved", "extended", "unreserved", "lost")


@dataclass(frozen=True, slots=True)
class Subject:
    """What is told of: one connector of this process."""

    settings: Settings
    counters: Counters
    clock: Clock
    started_ms: int


Labelled = Iterable[tuple[tuple[str, ...], float | None]]
"""Values of labels, and a value; None: there is none now."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric without its prefix; `values` are read at each scrape."""

    name: str
    kind: Literal["counter", "gauge"]
    labels: tuple[str, ...]
    words: str
    values: Callable[[Subject], Labelled]


def _one(value: Callable[[Subject], float | None]) -> Callable[[Subject], Labelled]:
    return lambda subject: [((), value(subject))]


def _events(subject: Subject) -> Labelled:
    for table, counts in sorted(dict(subject.counters.events).items()):
        for op, count in counts.by_op().items():
            if count:
                yield (table, op), count


def _by_table(value: Callable[[Subject], dict[str, int]]) -> Callable[[Subject], Labelled]:
    return lambda subject: [((name,), count) for name, count in sorted(value(subject).copy().items())]


def _snapshot_rows(subject: Subject) -> Labelled:
    return [((name,), table.sent) for name, table in sorted(subject.counters.snapshots.copy().items())]


def _chunks_done(subject: Subject) -> Labelled:
    return [((name,), table.chunks_done) for name, table in sorted(subject.counters.snapshots.copy().items())]


def _chunks_to_do(subject: Subject) -> Labelled:
    for name, table in sorted(subject.counters.snapshots.copy().items()):
        # One that waits is not cut yet: it is one chunk at least.
        yield (
            (name,),
            max(table.chunks, 1) - table.chunks_done
            if table.state == "waiting"
            else (table.chunks - table.chunks_done),
        )


def _errors(subject: Subject) -> Labelled:
    counters = subject.counters
    return [((kind,), count) for kind, count in sorted((counters.recent.faults | counters.errors).items())]


def _phases(subject: Subject) -> Labelled:
    return [((phase,), phase == subject.counters.condition.phase) for phase in _PHASES]


def _healthy(subject: Subject) -> float:
    return not health.reasons(subject.settings, subject.counters, subject.clock.monotonic())


def _wal_status(subject: Subject) -> Labelled:
    now = subject.counters.slot_wal_status
    return [((status,), status == now) for status in _WAL_STATUS] if now is not None else ()


METRICS: tuple[Metric, ...] = (
    Metric(
        "build_info", "gauge", ("version", "transcoder"),
        "Always 1; the version that runs, and whether its transcoder is compiled.",
        lambda _: [((__version__, "compiled" if compiled else "not compiled"), 1)],
    ),
    Metric(
        "start_time_seconds", "gauge", (), "When the process began, in seconds since 1970.",
        _one(lambda subject: subject.started_ms / 1000),
    ),
    Metric(
        "phase", "gauge", ("phase",),
        "1 for what the connector does now, 0 for the others: `starting`, `snapshot` (before the stream), `streaming`, "
        "`reconnecting` (behind a temporary fault), `standby` (another reads the slot).",
        _phases,
    ),
    Metric("healthy", "gauge", (), "1 when `GET /health` answers 200.", _one(_healthy)),
    Metric(
        "events_total", "counter", ("table", "op"),
        "Events of the stream that were handed to Kafka, by `op`: c, u, d, t, and m, which has no table. A change of "
        "the key is one d and one c; a tombstone is none; a delete by a comparison is a d. What comes again behind a "
        "fault counts again.",
        _events,
    ),
    Metric(
        "snapshot_rows_total", "counter", ("table",),
        "Rows of snapshots that were handed to Kafka; those that a later reading leaves out are not among them.",
        _snapshot_rows,
    ),
    Metric("snapshot_chunks_done", "gauge", ("table",), "Chunks of the table's copy that are acked.", _chunks_done),
    Metric(
        "snapshot_chunks_to_do", "gauge", ("table",),
        "Chunks that are not; a table that waits for its turn is one at least.", _chunks_to_do,
    ),
    Metric(
        "in_flight_bytes", "gauge", (), "Handed to Kafka's client and not acked, as `max.queue.size.in.bytes` counts.",
        _one(lambda subject: subject.counters.in_flight_bytes),
    ),
    Metric(
        "in_flight_limit_bytes", "gauge", (), "`max.queue.size.in.bytes`: there reading pauses.",
        _one(lambda subject: subject.settings.max_queue_size_in_bytes),
    ),
    Metric(
        "acks_total", "counter", (),
        "Records that Kafka has acked: events, tombstones, snapshot rows, dead letters, transaction marks. They are "
        "counted in groups, each when all before it are acked.",
        _one(lambda subject: subject.counters.acks),
    ),
    Metric(
        "errors_total", "counter", ("kind",),
        "Temporary faults (`PostgresUnavailable`, `KafkaUnavailable`, …) and rows that became dead letters "
        "(`ConversionError`, `OversizedRecord`): the kinds of docs/errors.md.",
        _errors,
    ),
    Metric(
        "skipped_events_total", "counter", (), "Events that were left out because `--skip-position` named them.",
        _one(lambda subject: subject.counters.skipped),
    ),
    Metric(
        "lost_changes_total", "counter", ("table",),
        "Changes that the source did not log: the table has no replica identity.",
        _by_table(lambda subject: subject.counters.lost_changes),
    ),
    Metric(
        "unacked_milliseconds", "gauge", (),
        "How long ago the oldest transaction committed of those that were read and are not acked; 0: there is none.",
        _one(lambda subject: subject.counters.lag.unacked_ms(subject.clock.time_us())),
    ),
    Metric(
        "slot_lag_bytes", "gauge", (), "WAL that is not confirmed yet, looked at every three seconds.",
        _one(lambda subject: subject.counters.slot_lag_bytes),
    ),
    Metric(
        "slot_retained_wal_bytes", "gauge", (), "WAL that the slot holds back on the source.",
        _one(lambda subject: subject.counters.slot_retained_bytes),
    ),
    Metric(
        "slot_retained_limit_bytes", "gauge", (), "`slot.max.retained.bytes`, where it is set.",
        _one(lambda subject: subject.settings.slot_max_retained_bytes),
    ),
    Metric(
        "slot_safe_wal_bytes", "gauge", (),
        "WAL that may still be written before the server gives the slot up; only where it sets "
        "`max_slot_wal_keep_size` (PostgreSQL 13).",
        _one(lambda subject: subject.counters.slot_safe_bytes),
    ),
    Metric(
        "slot_budget_seconds", "gauge", (),
        "Forecast: until that is used up, at the rate of the last minute. Absent: no end in sight.",
        _one(lambda subject: subject.counters.slot_seconds_left),
    ),
    Metric(
        "slot_wal_status", "gauge", ("status",),
        "1 for the slot's `wal_status`, 0 for the others: `reserved`, `extended`, `unreserved`, `lost` (PostgreSQL 13 "
        "or newer).",
        _wal_status,
    ),
    Metric(
        "registry_calls_total", "counter", ("outcome",),
        "Questions to the schema registry: `answered`, `refused` (a status other than 2xx), `failed` (no answer).",
        _by_table(lambda subject: subject.counters.registry.by_outcome),
    ),
    Metric(
        "reconnects_total", "counter", (), "Sessions that ended with a temporary fault, and were begun again.",
        _one(lambda subject: subject.counters.reconnects),
    ),
)  # fmt: skip

BEHIND = "milliseconds_behind_source"
BEHIND_WORDS = (
    "From a transaction's commit in the source, by its clock, to Kafka's ack of all of it (with "
    "`exactly.once.support=required`: to the commit in Kafka), by ours. One observation for each transaction with "
    "events; those that are acked together are observed as the last of them. Snapshot rows are not in it."
)


class Exposition(Collector):
    """The connector's metrics in Prometheus's text format."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """All of them, as they are now."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Family]:
        """Read each metric."""
        for metric in METRICS:
            family: CounterMetricFamily | GaugeMetricFamily
            if metric.kind == "counter":
                family = CounterMetricFamily(PREFIX + metric.name, metric.words, labels=metric.labels)
            else:
                family = GaugeMetricFamily(PREFIX + metric.name, metric.words, labels=metric.labels)
            for labels, value in metric.values(self._subject):
                if value is not None:
                    family.add_metric(labels, value)
            yield family
        yield _histogram(self._subject.counters.lag.histogram)


def _histogram(measured: Histogram) -> HistogramMetricFamily:
    buckets, so_far = [], 0
    for limit, count in zip((*map(str, BUCKETS_MS), "+Inf"), measured.counts.copy(), strict=True):
        so_far += count
        buckets.append((limit, float(so_far)))
    family = HistogramMetricFamily(PREFIX + BEHIND, BEHIND_WORDS)
    family.add_metric((), buckets, measured.sum)
    return family
