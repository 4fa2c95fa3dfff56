"""The stored position: whether the slot gives what follows it.

Room: commands (IO through the stages). docs/errors.md, "When the slot cannot go on".
"""

from __future__ import annotations

from collections.abc import Iterator

from producer.commands.checks.group import group
from producer.commands.look import remembered
from producer.errors import ProducerError
from producer.findings import Finding
from producer.pipeline import stages
from producer.pipeline.full_table import interruption
from producer.pipeline.health import standing
from producer.settings import Settings
from producer.source import slot, timeline
from producer.source.checks import slot as slot_checks
from producer.source.wire import connect


def findings(settings: Settings) -> Iterator[Finding]:
    """PostgreSQL and Kafka answer."""
    yield from group("position", lambda: _findings(settings))


def _findings(settings: Settings) -> Iterator[Finding | ProducerError]:
    server = stages.server(settings)
    with connect(server) as connection:
        # In this order: a producer of ours that runs moves position, slot and log on.
        found = slot.find(connection, settings.slot_name)
        sink = stages.sink(settings)
        try:
            offset = remembered(settings, sink).offset
        finally:
            sink.close(0)
        if found is not None and slot.lost(found) is not None and settings.reads_log:
            # The line `slot` tells.
            return
        if offset is None:
            yield Finding(name="position", status="ok", detail="none is stored yet")
            return
        if settings.replication_method == "FULL_TABLE":
            refused = interruption.among_a_stream(settings, offset)
            if refused is not None:
                yield refused
                return
        else:
            lost = standing.lost(
                offset, slot.identify(connection), found, settings.slot_name,
                lambda line: timeline.history(server, line),
            )  # fmt: skip
            if lost is not None:
                yield slot_checks.gap("position", lost, settings)
                return
    yield Finding(name="position", status="ok", detail=f"{offset.lsn}: a run goes on from there")
