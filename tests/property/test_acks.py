"""The tracker against a list of everything that ever happened."""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from producer.acks import Group, Tracker
from producer.lsn import Lsn


@dataclass
class Naive:
    """A group as the model sees it: every record with its fate."""

    group: Group
    records: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    closed: bool = False
    lsn: int | None = None

    @property
    def acked(self) -> bool:
        return all(fate == "acked" for fate in self.records)

    @property
    def waiting(self) -> bool:
        return "sent" in self.records


class TrackerMachine(RuleBasedStateMachine):
    """Groups opened in order, filled, closed and acked in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.tracker = Tracker(Lsn(3))
        self.groups: list[Naive] = []
        self.advanced = 0
        self.safe = 3
        self.next_lsn = 3

    @rule()
    def open(self) -> None:
        self.groups.append(Naive(self.tracker.open()))

    @precondition(lambda self: any(not naive.closed for naive in self.groups))
    @rule(data=st.data(), size=st.integers(0, 1000))
    def add(self, data: st.DataObject, size: int) -> None:
        naive = data.draw(st.sampled_from([naive for naive in self.groups if not naive.closed]))
        naive.group.pending += 1
        naive.group.size += size
        naive.records.append("sent")
        naive.sizes.append(size)

    @precondition(lambda self: any(not naive.closed for naive in self.groups))
    @rule(data=st.data(), step=st.integers(-2, 5), part=st.booleans())
    def close(self, data: st.DataObject, step: int, part: bool) -> None:
        naive = data.draw(st.sampled_from([naive for naive in self.groups if not naive.closed]))
        self.next_lsn = max(0, self.next_lsn + step)
        naive.closed = True
        naive.lsn = None if part else self.next_lsn
        self.tracker.close(naive.group, None if part else Lsn(self.next_lsn))

    @precondition(lambda self: any(naive.waiting for naive in self.groups))
    @rule(data=st.data(), failed=st.sampled_from([False, False, False, True]))
    def ack(self, data: st.DataObject, failed: bool) -> None:
        number = data.draw(st.sampled_from([n for n, naive in enumerate(self.groups) if naive.waiting]))
        naive = self.groups[number]
        place = naive.records.index("sent")
        naive.records[place] = "failed" if failed else "acked"
        naive.group.ack((number, place) if failed else None, "report")

    @rule()
    def advance(self) -> None:
        while self.advanced < len(self.groups):
            naive = self.groups[self.advanced]
            if not (naive.closed and naive.acked):
                break
            self.safe = max(self.safe, naive.lsn or 0)
            self.advanced += 1
        assert self.tracker.advance() == self.safe

    @invariant()
    def safe_is_what_was_advanced_to(self) -> None:
        assert self.tracker.safe == self.safe

    @invariant()
    def idle_when_all_is_resolved(self) -> None:
        assert self.tracker.idle == (self.advanced == len(self.groups))

    @invariant()
    def bytes_are_those_of_unresolved_groups(self) -> None:
        counted = [naive for naive in self.groups[self.advanced :] if naive.closed or naive.waiting]
        assert self.tracker.in_flight_bytes == sum(sum(naive.sizes) for naive in counted)

    @invariant()
    def the_failure_is_the_first_in_commit_order(self) -> None:
        failed = [n for n, naive in enumerate(self.groups) if "failed" in naive.records]
        failure = self.tracker.failure
        assert (failure is None) == (not failed)
        if failure is not None:
            assert isinstance(failure.error, tuple)
            assert failure.error[0] == failed[0]


TrackerMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=40)
TestTracker = TrackerMachine.TestCase
