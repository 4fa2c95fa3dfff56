"""What may be confirmed, against a list of everything that ever happened; the tracker alone is in test_acks.py."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from confluent_kafka import KafkaError
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from producer.acks import Group
from producer.lsn import Lsn
from producer.pipeline.progress import Committed, Progress
from producer.sink.memory import MemorySink
from producer.sink.offsets import Offset, OffsetsTopic
from tests.connector import StillClock

_START = 10
_OFFSETS, _ROWS = "offsets", "rows"


@dataclass
class Unit:
    """What shares a confirm point: a part of a transaction, the end of one, a keep-alive."""

    group: Group | None = None
    fates: list[str] = field(default_factory=list)
    closed: bool = False
    lsn: int | None = None
    commit_lsn: int | None = None

    @property
    def acked(self) -> bool:
        return self.closed and all(fate == "acked" for fate in self.fates)


@dataclass
class Report:
    """A record's ack that Kafka has not given yet: of a unit, or of an offsets record."""

    unit: Unit | None
    place: int = 0
    failed: bool = False


class ProgressMachine(RuleBasedStateMachine):
    """Transactions whole and in parts, keep-alives, acks in any order, failures; then a step."""

    def __init__(self) -> None:
        super().__init__()
        self.sink = MemorySink(partitions={_ROWS: 1})
        self.clock = StillClock()
        topic = OffsetsTopic(self.sink, _OFFSETS, name="n", server="p")
        topic.ensure()
        self.progress = Progress(topic, Offset(lsn=Lsn(_START), slot="s", system_id="1", timeline=1), self.clock)
        self.sink.hold_acks()
        self.units: list[Unit] = []
        self.open: Unit | None = None
        self.read = _START
        self.held: list[Report] = []
        self.stored = _START
        """By the offsets record that was acked last."""
        self.confirmable = _START
        self.advanced = _START
        """How far everything was acked when it was looked at last."""
        self.failed = False

    # What the stream does.

    @rule(records=st.integers(0, 4), refused=st.integers(0, 12))
    def send(self, records: int, refused: int) -> None:
        if self.open is None:
            self.open = Unit(self.progress.tracker.open())
            self.units.append(self.open)
        assert self.open.group is not None
        for number in range(records):
            failed = number == refused
            if failed:
                self.sink.fail_next(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
            self.sink.send(_ROWS, b"k", b"v", self.open.group)
            self.held.append(Report(self.open, len(self.open.fates), failed))
            self.open.fates.append("sent")

    @precondition(lambda self: self.open is not None)
    @rule(step=st.integers(1, 5), part=st.booleans())
    def close(self, step: int, part: bool) -> None:
        unit = self.open
        assert unit is not None
        assert unit.group is not None
        self.open = None
        unit.closed = True
        if not part:
            unit.commit_lsn, self.read = self.read, self.read + step
            unit.lsn = self.read
            self.progress.committed(Committed(Lsn(self.read), Lsn(unit.commit_lsn), self.read, self.read))
        self.progress.tracker.close(unit.group, None if part else Lsn(self.read))

    @precondition(lambda self: self.open is None)
    @rule(step=st.integers(0, 3), urgent=st.booleans(), later=st.sampled_from([0.0, 0.4, 1.1]))
    def kept_alive(self, step: int, urgent: bool, later: float) -> None:
        self.clock.now += later
        self.read += step
        before = self.progress.tracker.idle
        taken = self.progress.kept_alive(Lsn(self.read), urgent=urgent)
        if taken and self.read > self.advanced:
            self.units.append(Unit(closed=True, lsn=self.read))
            assert not self.progress.tracker.idle
        else:
            assert self.progress.tracker.idle == before
            assert taken or not urgent

    # What Kafka does.

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def ack(self, data: st.DataObject) -> None:
        places = data.draw(st.lists(st.integers(0, len(self.held) - 1), min_size=1, unique=True))
        self.sink.release(places)
        chosen = [self.held[place] for place in places]
        self.held = [report for place, report in enumerate(self.held) if place not in places]
        for report in chosen:
            if report.unit is None:
                if not report.failed:
                    self.stored = self.last_offset["lsn"] or 0
            else:
                report.unit.fates[report.place] = "failed" if report.failed else "acked"
                self.failed |= report.failed

    @precondition(lambda self: not self.offset_under_way)
    @rule()
    def refuse_the_next_offsets_record(self) -> None:
        """Whether there is one, `step` tells; else a record of the stream is refused."""
        self.sink.fail_next(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
        self._step(refused=True)

    @rule()
    def step(self) -> None:
        self._step(refused=False)

    def _step(self, *, refused: bool) -> None:
        under_way = self.offset_under_way
        outstanding = self.sink.outstanding
        confirmable = self.progress.step()
        assert confirmable >= self.confirmable, "it never goes down"
        self.confirmable = confirmable
        if not under_way:
            assert confirmable == self.stored, "all of the acked offsets record, and nothing beyond it"
            self.advanced = max(self.advanced, self.safe)
        wrote = self.sink.outstanding - outstanding
        assert wrote <= (0 if under_way else 1), "one offsets record at a time"
        if wrote:
            self.held.append(Report(None, failed=refused))
            if not refused:
                self._check_offset()
        elif refused:
            self.sink._fail_next.clear()

    def _check_offset(self) -> None:
        """It says what is acked: all of that, and the last transaction that is whole in it."""
        document = self.last_offset
        assert document["lsn"] == self.safe
        whole = [unit for unit in self.units if unit.commit_lsn is not None and (unit.lsn or 0) <= self.safe]
        assert document.get("lsn_commit") == (whole[-1].commit_lsn if whole else None)

    # What always holds.

    @property
    def safe(self) -> int:
        """The naive model: up to where every record is acked."""
        reached = _START
        for unit in self.units:
            if not unit.acked:
                break
            reached = max(reached, unit.lsn or 0)
        return reached

    @property
    def offset_under_way(self) -> bool:
        return any(report.unit is None for report in self.held) or self.offset_failed

    @property
    def offset_failed(self) -> bool:
        return self.progress._writing is not None and self.progress._writing[0].failure is not None

    @property
    def last_offset(self) -> dict[str, int | None]:
        document: dict[str, int | None] = json.loads(self.sink.records(_OFFSETS)[-1].value or b"{}")
        return document

    @invariant()
    def nothing_beyond_the_first_unacked_record_is_stored_or_confirmable(self) -> None:
        assert self.progress.confirmable <= self.safe
        for record in self.sink.records(_OFFSETS):
            assert json.loads(record.value or b"")["lsn"] <= self.safe

    @invariant()
    def a_crash_now_would_find_the_slot_behind_the_stored_position(self) -> None:
        records = self.sink.records(_OFFSETS)
        at_start = json.loads(records[-1].value or b"")["lsn"] if records else _START
        assert self.progress.confirmable <= at_start

    @invariant()
    def settled_says_that_nothing_is_left(self) -> None:
        if self.progress.settled:
            assert all(unit.acked for unit in self.units)
            assert not self.held
            assert self.progress.confirmable == self.advanced

    @invariant()
    def a_failure_is_told(self) -> None:
        assert (self.progress.failure is not None) == (self.failed or self.offset_failed)


ProgressMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestProgress = ProgressMachine.TestCase
