"""Exactly once: a position is confirmed when the transaction that holds it is committed, and says what was sent."""

from __future__ import annotations

from dataclasses import replace

import pytest
from confluent_kafka import KafkaError

from producer.acks import Group
from producer.errors import KafkaUnavailable, OversizedRecord, ProducerFenced
from producer.events import Position
from producer.lsn import Lsn
from producer.pipeline import exactly_once
from producer.pipeline.exactly_once import CommittedProgress
from producer.pipeline.progress import Committed
from producer.pipeline.stop import Stop
from producer.pipeline.stream.discard import Discard
from producer.settings import load_settings
from producer.sink.memory import MemorySink
from producer.sink.offsets import Loaded, Offset, OffsetsTopic, Part
from tests.connector import StillClock

TOPIC = "offsets"
START = Offset(lsn=Lsn(10), slot="s", system_id="1", timeline=1)
PART = Part(commit_lsn=Lsn(50), ordinal=3, fingerprint="f")


def _offsets(sink: MemorySink) -> OffsetsTopic:
    topic = OffsetsTopic(sink, TOPIC, name="n", server="p")
    topic.ensure()
    return topic


def _sink(beside: MemorySink | None = None) -> MemorySink:
    return MemorySink(transactional_id="id", beside=beside)


def _progress(sink: MemorySink, clock: StillClock, start: Offset = START, mark: str = "f") -> CommittedProgress:
    offsets = _offsets(sink)
    assert sink.transactions is not None
    exactly_once.own(sink, offsets, offsets.load(1), clock, Stop(clock))
    return CommittedProgress(offsets, start, clock, sink.transactions, interval_s=0.2, mark=mark)


def _transaction(sink: MemorySink, progress: CommittedProgress, commit: int, end: int) -> None:
    group = progress.tracker.open()
    sink.send(TOPIC, b"k", b"v", group)
    progress.committed(Committed(Lsn(end), Lsn(commit), 7, 1))
    progress.tracker.close(group, Lsn(end))
    progress.stand(None)


def _stored(sink: MemorySink) -> Offset | None:
    return _offsets(sink).load(1).offset


def test_nothing_is_confirmable_before_the_commit() -> None:
    """Acked is not enough."""
    sink, clock = _sink(), StillClock()
    progress = _progress(sink, clock)
    _transaction(sink, progress, 20, 30)
    sink.poll()
    assert (progress.step(), progress.stored, _stored(sink)) == (10, False, None)
    progress.close()
    assert progress.closing
    sink.hold_acks()
    assert progress.step() == 10
    sink.release()
    assert progress.step() == 30
    assert progress.settled
    assert _stored(sink) == replace(START, lsn=Lsn(30), commit_lsn=Lsn(20), tx_id=7, commit_us=1)


def test_when_a_kafka_transaction_ends() -> None:
    """At a commit behind the interval; within a transaction that takes longer; at once behind a silence."""
    sink, clock = _sink(), StillClock()
    progress = _progress(sink, clock)
    assert progress.due(None, quiet=True) == "no", "there is nothing to commit"
    _transaction(sink, progress, 20, 30)
    assert progress.due(None, quiet=False) == "no"
    assert progress.due(None, quiet=True) == "now"
    clock.now += 0.3
    assert progress.due(None, quiet=False) == "now"
    assert progress.due(Lsn(40), quiet=False) == "at its end"
    clock.now += 0.1
    assert progress.due(Lsn(50), quiet=False) == "at its end", "another one"
    clock.now += 0.2
    assert progress.due(Lsn(50), quiet=False) == "now", "a long one"
    progress.close()
    progress.step()
    _transaction(sink, progress, 50, 60)
    assert progress.due(None, quiet=True) == "no", "one was committed just now"


def test_a_transaction_that_was_sent_in_part_is_not_confirmed() -> None:
    """The position says how far it is; the LSN stays before it."""
    sink, clock = _sink(), StillClock()
    progress = _progress(sink, clock)
    _transaction(sink, progress, 20, 30)
    progress.stand(Position(Lsn(50), 3))
    progress.end()
    assert progress.confirmable == 30
    assert _stored(sink) == replace(START, lsn=Lsn(30), commit_lsn=Lsn(20), tx_id=7, commit_us=1, part=PART)
    progress.stand(Position(Lsn(50), 3))
    assert progress.settled, "nothing is new"


def test_a_message_outside_of_transactions_is_covered_by_a_later_lsn() -> None:
    """Until then the position names it."""
    sink, clock = _sink(), StillClock()
    progress = _progress(sink, clock)
    progress.stand(Position(Lsn(15), 0))
    progress.end()
    stored = _stored(sink)
    assert stored is not None
    assert (stored.lsn, stored.part) == (10, Part(commit_lsn=Lsn(15), ordinal=0, fingerprint="f"))
    progress.kept_alive(Lsn(15), urgent=True)
    progress.stand(Position(Lsn(15), 0))
    progress.end()
    stored = _stored(sink)
    assert stored is not None
    assert (stored.lsn, stored.part) == (15, None)


def test_a_part_is_resumed_under_the_same_selection_only() -> None:
    """Under another, ordinals mean something else."""
    for mark, resumed in (("f", Position(Lsn(50), 3)), ("g", None)):
        sink, clock = _sink(), StillClock()
        assert _progress(sink, clock, replace(START, part=PART), mark).resumed == resumed


def test_rows_that_no_mark_speaks_of_are_not_committed() -> None:
    """Told to stop in the middle of a table."""
    sink, clock = _sink(), StillClock()
    progress = _progress(sink, clock)
    _transaction(sink, progress, 20, 30)
    progress.give_up()
    progress.end()
    assert progress.stored
    assert (progress.confirmable, _stored(sink)) == (10, None)


def test_a_successor_is_the_only_one_that_commits() -> None:
    """And it begins again where the predecessor has committed after it had looked."""
    sink, clock = _sink(), StillClock()
    progress = _progress(sink, clock)
    known = Loaded()
    _transaction(sink, progress, 20, 30)
    progress.end()
    _transaction(sink, progress, 40, 50)
    successor = _sink(sink)
    with pytest.raises(ProducerFenced, match="predecessor"):
        exactly_once.own(successor, _offsets(successor), known, clock, Stop(clock))
    with pytest.raises(ProducerFenced):
        progress.end()
    stored = _stored(successor)
    assert stored is not None
    assert stored.lsn == 30


def test_the_record_that_failed_a_transaction_is_named() -> None:
    """Not the transaction that failed by it."""
    sink, clock = _sink(), StillClock()
    progress = _progress(sink, clock)
    sink.fail_next(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
    _transaction(sink, progress, 20, 30)
    with pytest.raises(OversizedRecord, match="delivering"):
        progress.end()


def test_a_commit_outside_of_the_stream_has_its_time() -> None:
    """Kafka is away."""
    sink, clock = _sink(), StillClock()
    offsets = _offsets(sink)
    stop = Stop(clock)
    exactly_once.own(sink, offsets, offsets.load(1), clock, stop)
    sink.send(TOPIC, b"k", b"v", Group())
    sink.away = True
    stop.request()
    clock.now += 10
    with pytest.raises(KafkaUnavailable, match="commit"):
        exactly_once.commit(sink, clock, stop)


def test_without_transactions_there_is_nothing_to_do() -> None:
    """Delivery at least once."""
    sink, clock = MemorySink(), StillClock()
    exactly_once.own(sink, _offsets(sink), Loaded(), clock, Stop(clock))
    exactly_once.commit(sink, clock, Stop(clock))


def test_what_was_committed_is_not_sent_again() -> None:
    """Up to the last event, and no further."""
    sink = MemorySink(partitions={"t": 1})
    discard = Discard(sink, Position(Lsn(50), 2))
    for at, kept in ((Position(Lsn(50), 0), False), (Position(Lsn(50), 1), False), (Position(Lsn(50), 2), True)):
        assert discard.behind(at) != kept
        discard.send("t", b"k", b"v", Group())
        assert len(sink.records("t")) == kept
    assert not discard.behind(Position(Lsn(60), 0))


@pytest.mark.parametrize(
    "other",
    ["skipped.operations=t", "message.prefix.include.list=x", "message.key.columns=public.t:a", "table.include.list=b"],
)
def test_the_fingerprint_is_of_what_ordinals_depend_on(other: str) -> None:
    """And of nothing else."""

    def mark(*settings: str) -> str:
        loaded = load_settings(None, ["topic.prefix=p", *settings], {}).settings
        names = [name for name in (("public", "t"), ("public", "b")) if loaded.wants_table(*name)]
        return exactly_once.fingerprint(loaded, names)

    assert mark() == mark("heartbeat.interval.ms=5", "errors.tolerance=all")
    assert mark() != mark(other)
