"""The schema registry: whether it answers, and takes today's schemas.

Room: commands (IO through the stages).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

from producer.commands.checks.group import group
from producer.errors import ProducerError
from producer.events import Relation
from producer.findings import Finding
from producer.pipeline import stages
from producer.pipeline.side.topics import SideTopics
from producer.schema import avro
from producer.schema.registry import Registry
from producer.schema.types import Modes
from producer.settings import Settings

Subjects = list[tuple[str, str]]
"""(subject, schema)."""


def findings(settings: Settings, relations: Sequence[Relation]) -> Iterator[Finding]:
    """Line by line; `relations` are the selected tables'."""
    yield from group("schema registry", lambda: _findings(settings, relations))


def _findings(settings: Settings, relations: Sequence[Relation]) -> Iterator[Finding | ProducerError]:
    with closing(stages.registry(settings)) as registry:
        subjects = registry.ping()
        yield Finding(name="schema registry", status="ok", detail=f"{registry.url} answers, {subjects} subjects")
        read_only = registry.mode() == "READONLY" and settings.auto_register_schemas
        yield Finding(
            name="registry settings",
            status="failed" if read_only else "ok",
            detail=f"mode {registry.mode() or 'not told'}, compatibility {registry.compatibility() or 'not told'}",
            remedy="set the registry's mode to READWRITE, or register the schemas beforehand and set "
            "auto.register.schemas=false"
            if read_only
            else "",
        )
        wanted = dict(_wanted(settings, relations))
        yield from _judged(settings, registry, wanted)


def _wanted(settings: Settings, relations: Sequence[Relation]) -> Iterator[tuple[str, Subjects]]:
    for relation in relations:
        if relation.logged_as is not None:
            continue
        schema = avro.table_schema(relation, modes=Modes.of(settings))
        pairs = [(f"{schema.topic}-value", schema.value_schema)]
        if schema.key_schema is not None:
            pairs.append((f"{schema.topic}-key", schema.key_schema))
        yield relation.qualified_name, pairs
    for side in SideTopics(settings).asked:
        yield f"topic {side.name}", side.schemas


def _judged(settings: Settings, registry: Registry, wanted: dict[str, Subjects]) -> Iterator[Finding]:
    """The refused ones by name, or one line for all."""
    every = [pair for pairs in wanted.values() for pair in pairs]
    if settings.auto_register_schemas:
        taken = dict(zip(every, registry.compatible_all(every), strict=True))
        bad = [
            (name, subject)
            for name, pairs in wanted.items()
            for subject, text in pairs
            if taken[subject, text] is False
        ]
        for name, subject in bad:
            yield Finding(
                name="schema of",
                about=name,
                status="failed",
                detail=f"the registry would refuse it for subject {subject}",
                remedy="a new topic.prefix, or the subject's compatibility set to NONE",
            )
        good = "compatible with the registered ones"
    else:
        bad = []
        for name, pair in ((name, pair) for name, pairs in wanted.items() for pair in pairs):
            try:
                registry.register_all([pair])
            except ProducerError as error:
                bad.append((name, pair[0]))
                yield Finding.of("schema of", error, name)
        good = "registered, as auto.register.schemas=false demands"
    if wanted and not bad:
        yield Finding(name="schemas", status="ok", detail=f"{good} ({len(wanted)} tables and topics)")
