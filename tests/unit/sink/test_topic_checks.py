"""What it means that topics are as they are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from producer.errors import AccessDenied
from producer.findings import Finding
from producer.sink.topic_checks import Use, judged
from producer.sink.topic_facts import TopicFacts

GOOD = TopicFacts(
    partitions=3,
    replicas=3,
    in_sync=3,
    may=frozenset({"READ", "WRITE", "DESCRIBE"}),
    config={
        "cleanup.policy": "delete", "max.message.bytes": "1048588", "min.insync.replicas": "2",
        "retention.ms": "604800000", "retention.bytes": "-1",
    },
)  # fmt: skip


def _judged(use: Use, fact: TopicFacts, brokers: int = 3) -> dict[str, Finding]:
    return {found.name: found for found in judged({use.name: fact}, [use], largest=1_000_000, brokers=brokers)}


def test_a_topic_as_it_should_be() -> None:
    """Every line is ok."""
    found = _judged(Use(name="t"), GOOD)
    assert {one.status for one in found.values()} == {"ok"}
    assert len(found) == 6


@pytest.mark.parametrize(
    ("use", "changes", "config", "line", "status", "words"),
    [
        (Use(name="t"), {"may": frozenset({"DESCRIBE"})}, {}, "topic rights", "failed", "--operation Write"),
        (
            Use(name="t", needs=frozenset({"READ", "WRITE"})), {"may": frozenset({"WRITE"})}, {},
            "topic rights", "failed", "--operation Read --operation Write",
        ),
        (Use(name="t", keyed=False), {}, {"cleanup.policy": "compact"}, "topic policies", "failed", "=delete"),
        (Use(name="t", policy="compact"), {}, {}, "topic policies", "failed", "cleanup.policy=compact"),
        (
            Use(name="t", policy="delete"), {}, {"cleanup.policy": "compact,delete"},
            "topic policies", "failed", "cleanup.policy=delete",
        ),
        (
            Use(name="t"), {}, {"max.message.bytes": "1000"},
            "topic record sizes", "warning", "max.message.bytes=1000000",
        ),
        (Use(name="t"), {"replicas": 1, "in_sync": 1}, {}, "topic replicas", "failed", "min.insync.replicas=1"),
        (Use(name="t"), {"in_sync": 1}, {}, "topic replicas", "failed", "bring the brokers back"),
        (
            Use(name="t"), {"replicas": 1, "in_sync": 1}, {"min.insync.replicas": "1"},
            "topic replicas", "warning", "3 replicas",
        ),
        (Use(name="t"), {}, {"min.insync.replicas": "1"}, "topic replicas", "warning", "min.insync.replicas=2"),
        (Use(name="t"), {}, {"min.insync.replicas": "3"}, "topic replicas", "warning", "min.insync.replicas=2"),
        (Use(name="t", compared=True), {}, {}, "topic retention", "warning", "cleanup.policy=compact"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_one(
    use: Use, changes: dict[str, object], config: dict[str, str], line: str, status: str, words: str
) -> None:
    """One line tells it, with its remedy; the others stay as they were."""
    fact = replace(GOOD, **changes, config={**(GOOD.config or {}), **config})  # type: ignore[arg-type]
    found = _judged(use, fact)
    assert found[line].status == status
    assert words in found[line].remedy
    assert "t (" in found[line].detail
    assert {name for name, one in found.items() if one.status != "ok"} == {line}


def test_what_may_not_be_read_is_not_guessed() -> None:
    """Neither rights nor settings: no complaint of either."""
    found = _judged(Use(name="t", keyed=False), replace(GOOD, may=None, config=None, replicas=1, in_sync=1), brokers=1)
    assert {one.status for one in found.values()} == {"ok"}
    assert found["topic rights"].detail == "the brokers do not tell"


def test_many_topics_are_one_line() -> None:
    """A few by name, the others counted; one that is refused has a line of its own."""
    uses = [Use(name=f"t{number}", keyed=False) for number in range(9)]
    compact = replace(GOOD, config={**(GOOD.config or {}), "cleanup.policy": "compact"})
    facts = {use.name: compact for use in uses} | {"t8": AccessDenied("not for you", remedy="ask")}
    found = {one.title: one for one in judged(facts, uses, largest=1, brokers=3)}
    assert "and 3 more" in found["topic policies"].detail
    assert found["topic t8"].remedy == "ask"
    alone = list(judged({"t8": facts["t8"]}, [uses[8]], largest=1, brokers=3))
    assert [one.title for one in alone] == ["topic t8"]
