"""Acks, then the offsets record, then confirm: never in another order."""

from __future__ import annotations

from producer.lsn import Lsn
from producer.pipeline.progress import Committed, Progress
from producer.sink.memory import MemorySink
from producer.sink.offsets import Offset, OffsetsTopic

TOPIC = "offsets"


class StillClock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def time_us(self) -> int:
        return int(self.now * 1_000_000)


def _progress(sink: MemorySink, clock: StillClock) -> Progress:
    topic = OffsetsTopic(sink, TOPIC, name="n", server="p")
    topic.ensure()
    return Progress(topic, Offset(lsn=Lsn(10), slot="s", system_id="1", timeline=1), clock)


def test_confirmable_only_after_the_offsets_record_is_acked() -> None:
    """Data acked makes the position known; only its own ack makes it confirmable."""
    sink, clock = MemorySink(), StillClock()
    progress = _progress(sink, clock)
    sink.hold_acks()
    group = progress.tracker.open()
    sink.send(TOPIC, b"k", b"v", group)
    progress.committed(Committed(Lsn(30), Lsn(20), 7, 1))
    progress.tracker.close(group, Lsn(30))
    assert progress.step() == 10
    sink.release()
    sink.poll()
    assert progress.step() == 10, "the record is acked, the position is only under way"
    sink.release()
    sink.poll()
    assert progress.step() == 30
    assert progress.settled


def test_what_is_stored_is_what_is_acked() -> None:
    """The position names the last whole transaction, not one that is under way."""
    sink, clock = MemorySink(), StillClock()
    progress = _progress(sink, clock)
    for number in (30, 40):
        group = progress.tracker.open()
        sink.send(TOPIC, b"k", b"v", group)
        progress.committed(Committed(Lsn(number), Lsn(number - 5), number, number))
        progress.tracker.close(group, Lsn(number))
    sink.hold_acks()
    progress.tracker.open()
    for _ in range(4):
        sink.release()
        sink.poll()
        progress.step()
    stored = OffsetsTopic(sink, TOPIC, name="n", server="p").load(5).offset
    assert stored is not None
    assert (stored.lsn, stored.commit_lsn, stored.tx_id) == (40, 35, 40)
    assert progress.confirmable == 40


def test_keep_alives_move_an_idle_slot_but_not_past_what_is_unacked() -> None:
    """A keep-alive's walEnd waits for every record received before it."""
    sink, clock = MemorySink(), StillClock()
    progress = _progress(sink, clock)
    sink.hold_acks()
    group = progress.tracker.open()
    sink.send(TOPIC, b"k", b"v", group)
    progress.tracker.close(group, Lsn(30))
    progress.kept_alive(Lsn(50), urgent=True)
    progress.step()
    assert progress.confirmable == 10
    for _ in range(3):
        sink.release()
        sink.poll()
        progress.step()
    assert progress.confirmable == 50


def test_keep_alives_are_taken_sparingly() -> None:
    """An idle database does not fill the offsets topic."""
    sink, clock = MemorySink(), StillClock()
    progress = _progress(sink, clock)
    for wal_end in range(20, 120):
        taken = progress.kept_alive(Lsn(wal_end), urgent=False)
        assert taken == (wal_end == 20)
        sink.poll()
        progress.step()
    assert len(sink.records(TOPIC)) == 1
    clock.now += 1
    assert progress.kept_alive(Lsn(200), urgent=False)
    for _ in range(3):
        sink.poll()
        progress.step()
    assert progress.confirmable == 200
