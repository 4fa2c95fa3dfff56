"""What it means for us that topics are as they are.

Room: sink (pure). docs/check.md; Kafka documentation, "Topic Configs".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from producer.errors import ProducerError
from producer.findings import Finding, Name, Status
from producer.sink.topic_facts import TopicFacts

_NAMED = 5
_CLI = "kafka-{tool} --bootstrap-server …"
Facts = Mapping[str, TopicFacts | ProducerError | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What we want with a topic."""

    name: str
    needs: frozenset[str] = frozenset({"WRITE"})
    """The operations without which we stop."""
    keyed: bool = True
    """Whether every record has a key."""
    policy: Literal["compact", "delete", "any"] = "any"
    compared: bool = False
    """Whether what it holds is compared with the table: then it must hold what it ever held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One line of `check`: the topics of which something is to be said."""

    name: Name
    good: str
    bad: str
    status: Status
    remedy: Callable[[str], str]

    def finding(self, topics: Sequence[tuple[str, str]]) -> Finding:
        """`topics` are names with what is wrong with each."""
        if not topics:
            return Finding(name=self.name, status="ok", detail=self.good)
        more = f" and {len(topics) - _NAMED} more" if len(topics) > _NAMED else ""
        told = ", ".join(f"{name} ({why})" for name, why in topics[:_NAMED])
        remedies = dict.fromkeys(self.remedy(name) for name, _ in topics[:_NAMED])
        return Finding(
            name=self.name, status=self.status, detail=f"{self.bad}: {told}{more}", remedy="; ".join(remedies)
        )


def judged(facts: Facts, uses: Sequence[Use], *, largest: int, brokers: int) -> Iterator[Finding]:
    """What is to be said of the topics that are there.

    `largest` is what our client takes in one record, in bytes.
    """
    yield from _refused(uses, facts)
    there = [(use, fact) for use in uses if isinstance(fact := facts.get(use.name), TopicFacts)]
    if not there:
        return
    yield _partitions(there)
    yield from _rights(there)
    yield from _policies(there)
    yield from _sizes(there, largest)
    yield from _replicas(there, brokers)
    yield from _retention(there)


_There = Sequence[tuple[Use, TopicFacts]]


def _refused(uses: Sequence[Use], facts: Facts) -> Iterator[Finding]:
    failed = {use.name: fact for use in uses if isinstance(fact := facts.get(use.name), ProducerError)}
    for name, error in list(failed.items())[:_NAMED]:
        yield Finding.of("topic", error, name)


def _partitions(there: _There) -> Finding:
    counts = sorted({fact.partitions for _, fact in there})
    span = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return Finding(name="topic partitions", status="ok", detail=f"{span}; a truncate goes to each")


def _rights(there: _There) -> Iterator[Finding]:
    unknown = all(fact.may is None for _, fact in there)
    lacking = [
        (use.name, "no " + ", ".join(sorted(use.needs - fact.may)))
        for use, fact in there
        if fact.may is not None and not use.needs <= fact.may
    ]
    needs = {use.name: use.needs for use, _ in there}
    yield _Line(
        name="topic rights",
        good="the brokers do not tell" if unknown else "we may read and write what we must",
        bad="the Kafka user lacks rights",
        status="failed",
        remedy=lambda name: (
            f"{_CLI.format(tool='acls')} --add --allow-principal User:… "
            f"{' '.join(f'--operation {need.capitalize()}' for need in sorted(needs[name]))} --topic {name}"
        ),
    ).finding(lacking)


def _policies(there: _There) -> Iterator[Finding]:
    wrong, keyless, compacted = [], [], 0
    for use, fact in there:
        policy = (fact.config or {}).get("cleanup.policy")
        if policy is None:
            continue
        compacted += "compact" in policy
        if (use.policy == "compact" and policy != "compact") or (use.policy == "delete" and "compact" in policy):
            wrong.append((use.name, policy))
        elif not use.keyed and "compact" in policy:
            keyless.append((use.name, f"{policy}, its table has no key"))
    wanted = {use.name: use.policy if use.policy != "any" else "delete" for use, _ in there}
    yield _Line(
        name="topic policies",
        good=f"cleanup.policy fits; {compacted} of {len(there)} are compacted: a truncate is a delete of each key",
        bad="cleanup.policy does not fit: a compacted topic refuses records without key, another one forgets old ones",
        status="failed",
        remedy=lambda name: _configure(name, f"cleanup.policy={wanted[name]}"),
    ).finding(wrong + keyless)


def _sizes(there: _There, largest: int) -> Iterator[Finding]:
    small = []
    for use, fact in there:
        most = (fact.config or {}).get("max.message.bytes")
        if most is not None and int(most) < largest:
            small.append((use.name, f"max.message.bytes={most}"))
    yield _Line(
        name="topic record sizes",
        good=f"the topics take what our client takes: up to {largest} bytes",
        bad=f"a record above the topic's limit would stop us: our client takes up to {largest} bytes",
        status="warning",
        remedy=lambda name: (
            f"{_configure(name, f'max.message.bytes={largest}')}  (or lower producer.override.message.max.bytes)"
        ),
    ).finding(small)


def _replicas(there: _There, brokers: int) -> Iterator[Finding]:
    stuck, thin, few = [], [], []
    for use, fact in there:
        least = int((fact.config or {}).get("min.insync.replicas") or 1)
        if least > fact.replicas:
            stuck.append((use.name, f"min.insync.replicas={least}, {fact.replicas} replicas: nothing is ever acked"))
        elif fact.in_sync < least:
            stuck.append((use.name, f"{fact.in_sync} in sync of the {least} that must be: nothing is acked now"))
        elif brokers > 1 and fact.replicas == 1:
            thin.append((use.name, "one replica"))
        elif fact.replicas > 1 and least == 1:
            few.append((use.name, f"min.insync.replicas=1 of {fact.replicas} replicas"))
        elif fact.replicas > 1 and least == fact.replicas:
            few.append((use.name, f"min.insync.replicas={least} of {fact.replicas} replicas: one broker away stops us"))
    name: Name = "topic replicas"
    if stuck:
        yield _Line(
            name=name,
            good="",
            bad="not enough replicas",
            status="failed",
            remedy=lambda topic: (
                f"{_configure(topic, 'min.insync.replicas=1')}  (or bring the brokers back, or give it "
                "more replicas: kafka-reassign-partitions)"
            ),
        ).finding(stuck)
        return
    lone = f"{'one replica, as there is one broker' if brokers == 1 else 'enough, and enough must be in sync'}"
    yield _Line(
        name=name,
        good=lone,
        bad="what was acked may be lost with one broker, or nothing is acked without one",
        status="warning",
        remedy=lambda topic: (
            "3 replicas (kafka-reassign-partitions, topic.creation.default.replication.factor=3) and "
            + _configure(topic, "min.insync.replicas=2")
        ),
    ).finding(thin + few)


def _retention(there: _There) -> Iterator[Finding]:
    forgets = []
    spans: set[str] = set()
    for use, fact in there:
        config = fact.config or {}
        deletes = "delete" in config.get("cleanup.policy", "")
        limited = [
            f"{key}={config[key]}" for key in ("retention.ms", "retention.bytes") if int(config.get(key) or -1) >= 0
        ]
        if deletes:
            spans.update(limited or ["for ever"])
        if use.compared and deletes and limited:
            forgets.append((use.name, ", ".join(limited)))
    yield _Line(
        name="topic retention",
        good=", ".join(sorted(spans)) or "compacted: the last record of each key stays",
        bad="what has gone from the table cannot be told once the topic has forgotten its beginning",
        status="warning",
        remedy=lambda topic: _configure(topic, "cleanup.policy=compact"),
    ).finding(forgets)


def _configure(topic: str, config: str) -> str:
    return f"{_CLI.format(tool='configs')} --alter --entity-type topics --entity-name {topic} --add-config {config}"
