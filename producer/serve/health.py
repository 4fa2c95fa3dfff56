"""Whether a connector does its work, and why not.

Room: serve (pure). The states are Kafka Connect's; the phase says more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from producer.figures import Condition
from producer.observe import Counters
from producer.settings import Settings

State = Literal["RUNNING", "RESTARTING"]

# A connection that is lost for so long is worth a word; what comes back by itself at once is not.
FAILING_SECONDS = 10.0
# Kafka acks within milliseconds, and within seconds when it moves a leader.
UNACKED_SECONDS = 30.0
# Where the server has no patience of its own.
STILL_SECONDS = 60.0
_WATCH_SECONDS = 8.0
_IN_DANGER = ("unreserved", "lost")


@dataclass(frozen=True, slots=True)
class Reason:
    """What is wrong, in a word for machines and a sentence for people, and what to do."""

    reason: str
    message: str
    remedy: str


def state(condition: Condition) -> State:
    """As Kafka Connect would call it."""
    return "RUNNING" if condition.failing_since is None else "RESTARTING"


def reasons(settings: Settings, counters: Counters, now: float) -> list[Reason]:
    """What keeps the connector from its work; nothing: it is healthy, if only as a standby."""
    return [*_of_servers(counters, now), *_of_slot(settings, counters)]


def _of_servers(counters: Counters, now: float) -> list[Reason]:
    condition = counters.condition
    found = []
    failing = condition.failing_since
    if failing is not None and now - failing > FAILING_SECONDS:
        told = list(counters.recent.told)
        message, remedy = (told[-1].message, told[-1].remedy) if told else ("", "")
        found.append(Reason("reconnecting", f"no session for {now - failing:.0f} s: {message}", remedy))
    if condition.phase not in ("snapshot", "streaming"):
        return found
    patience = condition.patience or STILL_SECONDS
    still = _seconds(condition.tended_at, now)
    if still > max(patience, FAILING_SECONDS):
        found.append(
            Reason("still", f"nothing was done for {still:.0f} s", "is a server frozen, or the process suspended?")
        )
    silent = _seconds(condition.heard_at, now)
    if condition.phase == "streaming" and silent > patience + _WATCH_SECONDS:
        found.append(
            Reason(
                "silent", f"PostgreSQL has not been heard for {silent:.0f} s",
                "is the server up, and the network between us? we come back by ourselves",
            )
        )  # fmt: skip
    unacked = _seconds(condition.unacked_since, now)
    if unacked > UNACKED_SECONDS:
        found.append(
            Reason(
                "kafka", f"Kafka has acked nothing for {unacked:.0f} s",
                "are the brokers up, with enough replicas in sync? nothing is lost: reading waits",
            )
        )  # fmt: skip
    return found


def _of_slot(settings: Settings, counters: Counters) -> list[Reason]:
    found = []
    if counters.slot_wal_status in _IN_DANGER:
        found.append(
            Reason(
                "slot", f"the replication slot {settings.slot_name} is {counters.slot_wal_status}",
                "raise max_slot_wal_keep_size, and find out why the slot does not advance; lost: docs/errors.md says "
                "how to recover",
            )
        )  # fmt: skip
    limit, retained = settings.slot_max_retained_bytes, counters.slot_retained_bytes
    if limit is not None and retained is not None and retained > limit:
        found.append(
            Reason(
                "retained", f"the slot holds back {retained} bytes of WAL, more than slot.max.retained.bytes={limit}",
                "is Kafka away, or a snapshot long? slot.retention.action says what else is to be done",
            )
        )  # fmt: skip
    return found


def _seconds(since: float | None, now: float) -> float:
    return 0.0 if since is None else now - since
