"""What the status page shows, as one JSON document.

Room: serve (pure). No secret is in it, and no value of any row: settings are masked, errors name no values.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from producer import __version__
from producer.figures import TableSnapshot
from producer.serve import health
from producer.serve.history import EVERY_SECONDS, History
from producer.serve.metrics import Subject
from producer.settings import Settings
from producer.settings.model import FIELDS
from producer.transcode import compiled


def document(subject: Subject, history: History, instance: str, since: int) -> bytes:
    """Everything of now, and the samples behind number `since`; the settings, which do not change, with the first."""
    settings, counters = subject.settings, subject.counters
    now, now_us = subject.clock.monotonic(), subject.clock.time_us()
    reasons = health.reasons(settings, counters, now)
    condition = counters.condition
    shown: dict[str, object] = {
        "instance": instance,
        "version": __version__,
        "compiled": compiled,
        "name": settings.name,
        "database": settings.database_dbname,
        "topic_prefix": settings.topic_prefix,
        "started_ms": subject.started_ms,
        "now_ms": now_us // 1000,
        "every_ms": int(EVERY_SECONDS * 1000),
        "healthy": not reasons,
        "state": health.state(condition),
        "phase": condition.phase,
        "phase_seconds": None if condition.since is None else round(now - condition.since),
        "reasons": [asdict(reason) for reason in reasons],
        "slot": {
            "name": settings.slot_name,
            "retained_bytes": counters.slot_retained_bytes,
            "limit_bytes": settings.slot_max_retained_bytes,
            "lag_bytes": counters.slot_lag_bytes,
            "safe_bytes": counters.slot_safe_bytes,
            "seconds_left": counters.slot_seconds_left,
            "wal_status": counters.slot_wal_status,
        },
        "in_flight_bytes": counters.in_flight_bytes,
        "in_flight_limit_bytes": settings.max_queue_size_in_bytes,
        "acks": counters.acks,
        "reconnects": counters.reconnects,
        "skipped": counters.skipped,
        "registry": counters.registry.by_outcome,
        "tables": _tables(subject),
        "errors": [asdict(told) for told in reversed(list(counters.recent.told))],
        "errors_by_kind": counters.recent.faults | counters.errors,
        "samples": history.since(since),
    }
    if not since:
        shown["settings"] = _settings(settings)
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode()


def brief(subject: Subject) -> tuple[bool, bytes]:
    """Whether all is well, and `GET /health`'s document."""
    counters = subject.counters
    reasons = health.reasons(subject.settings, counters, subject.clock.monotonic())
    shown = {
        "status": "unhealthy" if reasons else "ok",
        "state": health.state(counters.condition),
        "phase": counters.condition.phase,
        "reasons": [asdict(reason) for reason in reasons],
    }
    return not reasons, json.dumps(shown, ensure_ascii=False).encode()


def _tables(subject: Subject) -> list[dict[str, object]]:
    counters = subject.counters
    events, snapshots = dict(counters.events), counters.snapshots.copy()
    lost = counters.lost_changes.copy()
    return [
        {
            "name": name,
            "events": events[name].by_op() if name in events else {},
            "lost": lost.get(name, 0),
            "snapshot": _snapshot(snapshots[name]) if name in snapshots else None,
        }
        for name in sorted({*events, *snapshots, *lost})
        if name or any(events[name].by_op().values())
    ]


def _snapshot(table: TableSnapshot) -> dict[str, object]:
    done = table.state == "read" and table.chunks_done >= table.chunks
    return {**asdict(table), "state": "done" if done else table.state}


def _settings(settings: Settings) -> list[tuple[str, str, bool]]:
    """Key, value, and whether it is another than the default."""
    described = settings.describe()
    plain = Settings.model_construct().describe()
    return [(key, value, key not in FIELDS or value != plain.get(key, "")) for key, value in described.items()]
