"""`status`: slot, lag, snapshot progress, topics, and what is to be done; as far as the servers answer.

Room: commands (IO through the stages).
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import click

from producer.commands.look import remembered
from producer.display import printable
from producer.errors import ProducerError
from producer.findings import Finding, Name
from producer.lsn import Lsn
from producer.pipeline import stages
from producer.pipeline.health import standing
from producer.pipeline.health.retention import seconds_left
from producer.schema import topics
from producer.settings import Settings
from producer.sink.offsets import Loaded
from producer.sink.topics import TopicSize
from producer.source import catalog, preflight, slot, timeline
from producer.source.catalog import Table
from producer.source.chunks import Chunk, chunks
from producer.source.slot import Slot
from producer.source.wire import Connection, Server, connect

_KAFKA_SECONDS = 10.0
# The growth of the log is measured over so long at least; and so long a slot has to reach where the log ended.
_GROWTH_SECONDS = 1.0
_CATCH_UP_SECONDS = 1.5
_TURN_SECONDS = 0.05
# A WAL budget that lasts no longer than this is told of.
_NEAR_SECONDS = 3600.0


def status(settings: Settings, *, as_json: bool) -> int:
    """Print what there is to tell; 0, or the exit code of what kept a server from answering.

    Raises:
        ProducerError: PostgreSQL does not answer: there is nothing to tell.
    """
    server = stages.server(settings)
    with connect(server) as connection:
        report = _Report(settings, server, connection)
        document = report.document()
    if as_json:
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        _print(document, report.findings)
    return report.code


@dataclass(slots=True)
class _Report:
    settings: Settings
    server: Server
    connection: Connection
    findings: list[Finding] = field(default_factory=list)
    code: int = 0

    @property
    def _full(self) -> bool:
        return self.settings.replication_method == "FULL_TABLE"

    def document(self) -> dict[str, object]:
        """All of it; `findings` are in the form of `check`'s."""
        settings, connection = self.settings, self.connection
        began = time.monotonic()
        found = slot.find(connection, settings.slot_name)
        every = catalog.tables(connection)
        chosen = catalog.selected(every, settings.wants_table)
        asked = self._kafka([_topic(settings, table) for table in chosen])
        loaded, sizes = (Loaded(), {}) if asked is None else asked
        if self._full:
            loaded = _of_the_last_run(loaded)
        loaded = _of_the_selected(loaded, chosen)
        lag_seconds = self._age(loaded) if self._full else self._lag(found, loaded)
        budget = self._budget(found, began)
        self._judge(found, loaded if asked is not None else None, chosen)
        self._judge_budget(found, budget)
        offset = loaded.offset
        return {
            "name": settings.name,
            "ok": all(finding.status != "failed" for finding in self.findings),
            "slot": None if found is None else _slot(found),
            "lag": {"bytes": None if found is None else found.lag_bytes, "seconds": lag_seconds},
            "wal_budget": budget,
            "position": None if offset is None else str(offset.lsn),
            "last_commit_lsn": None if offset is None or offset.commit_lsn is None else str(offset.commit_lsn),
            "snapshot": {
                "state": None if offset is None else offset.snapshot,
                # What Kafka does not tell is not 0.
                "tables_done": None if asked is None else len(loaded.tables),
                "tables": len(chosen),
                "rows": None if asked is None else _rows(loaded),
                "unfinished": _unfinished(connection, settings, loaded, chosen, every),
            },
            "topics": self._topics(chosen, sizes),
            "findings": [
                {"name": f.name, "status": f.status, "detail": f.detail, "remedy": f.remedy} for f in self.findings
            ],
        }

    def _kafka(self, names: Sequence[str]) -> tuple[Loaded, dict[str, TopicSize]] | None:
        """What the offsets topic remembers, and the topics' sizes; None, and a finding: Kafka does not tell."""
        try:
            sink = stages.sink(self.settings)
            try:
                sink.ping(_KAFKA_SECONDS)
                return remembered(self.settings, sink), sink.topic_sizes(names)
            finally:
                sink.close(0)
        except ProducerError as error:
            self.findings.append(Finding.of("kafka", error))
            self.code = error.verdict.value
            return None

    def _lag(self, found: Slot | None, loaded: Loaded) -> float | None:
        """Seconds until what is in the log now was delivered, where a reader does so while we look.

        Else, at the most, the age of the last commit that was delivered; None: that is not known.
        """
        if found is None or found.lag_bytes is None or found.confirmed_lsn is None:
            return None
        if not found.lag_bytes:
            return 0.0
        began = time.monotonic()
        end = Lsn(found.confirmed_lsn + found.lag_bytes).page_start()
        now: Slot | None = found
        while now is not None and now.active_pid is not None and time.monotonic() - began < _CATCH_UP_SECONDS:
            if now.confirmed_lsn is not None and now.confirmed_lsn >= end:
                return round(time.monotonic() - began, 3)
            time.sleep(_TURN_SECONDS)
            now = slot.find(self.connection, found.name)
        return self._age(loaded)

    def _age(self, loaded: Loaded) -> float | None:
        """Of the last commit that was delivered; of the view of a full-table run."""
        clock = self.connection.execute(b"SELECT extract(epoch FROM now())::float8").fetchone()
        if clock is None or loaded.offset is None or loaded.offset.commit_us is None:
            return None
        return max(0.0, round(float(str(clock[0])) - loaded.offset.commit_us / 1e6, 3))

    def _budget(self, before: Slot | None, began: float) -> dict[str, object] | None:
        """When the tighter of the two limits is used up, by the log's growth since `began`; None: there is none."""
        if before is None or before.retained_bytes is None:
            return None
        limits = {"max_slot_wal_keep_size": before.safe_bytes}
        if self.settings.slot_max_retained_bytes is not None:
            limits["slot.max.retained.bytes"] = self.settings.slot_max_retained_bytes - before.retained_bytes
        left = {name: safe for name, safe in limits.items() if safe is not None}
        if not left:
            return None
        time.sleep(max(0.0, began + _GROWTH_SECONDS - time.monotonic()))
        after = slot.find(self.connection, before.name)
        if after is None or after.log_end is None or before.log_end is None:
            return None
        limit = min(left, key=lambda name: left[name])
        rate = (after.log_end - before.log_end) / (time.monotonic() - began)
        seconds = seconds_left(left[limit], rate)
        return {
            "limit": limit,
            "safe_bytes": left[limit],
            "bytes_per_second": round(rate),
            "seconds_left": None if seconds is None else round(seconds),
        }

    def _judge(self, found: Slot | None, loaded: Loaded | None, chosen: Sequence[Table]) -> None:
        """What somebody should know; `loaded` None: what we had read is not known."""
        settings = self.settings
        if not chosen:
            self._note(
                "tables", "no table is selected",
                "look at schema.include.list, table.include.list and database.dbname",
            )  # fmt: skip
        identity = slot.identify(self.connection)
        standby = preflight.primary(identity)
        if isinstance(standby, ProducerError):
            self.findings.append(Finding.of("primary", standby))
            return
        if self._full:
            # It uses no slot.
            return
        try:
            if found is not None:
                slot.fitting(found, settings.plugin_name, self.server.dbname)
            if loaded is not None:
                refused = standing.lost(loaded.offset, identity, found, settings.slot_name, self._history)
            else:
                refused = None if found is None else slot.lost(found)
            if refused is not None:
                raise refused
        except ProducerError as error:
            self.findings.append(Finding.of("slot", error))
            return
        if found is None:
            if loaded is not None:
                self._note(
                    "slot", f"there is no slot {settings.slot_name} yet",
                    "`pg-producer check` tells what is missing; then `pg-producer run` makes it, and copies the tables",
                )  # fmt: skip
        elif found.active_pid is None:
            self._note(
                "slot", f"nobody reads the slot {found.name}: the server keeps its log for it",
                "`pg-producer run` goes on from there; `pg-producer slot drop` where it is not wanted any more",
            )  # fmt: skip
        elif found.reader is not None and found.reader != self.server.application_name:
            self._note(
                "slot", f"the slot {found.name} is read by pid {found.active_pid} ({found.reader}), which is not us",
                "stop that reader, or set slot.name to another name",
            )  # fmt: skip

    def _judge_budget(self, found: Slot | None, budget: dict[str, object] | None) -> None:
        if found is None or budget is None:
            return
        left, safe = budget["seconds_left"], budget["safe_bytes"]
        near = isinstance(left, int) and left < _NEAR_SECONDS
        if near or found.wal_status == "unreserved" or (isinstance(safe, int) and safe <= 0):
            self._note(
                "retained WAL", f"{budget['limit']} is nearly used up, or was: then the slot is given up, or as "
                "slot.retention.action says",
                f"find out why the slot does not advance (is Kafka away, the producer stopped?), or raise "
                f"{budget['limit']}",
            )  # fmt: skip

    def _note(self, name: Name, detail: str, remedy: str) -> None:
        self.findings.append(Finding(name=name, status="warning", detail=detail, remedy=remedy))

    def _history(self, line: int) -> list[timeline.Branch] | None:
        return timeline.history(self.server, line)

    def _topics(self, chosen: Sequence[Table], sizes: dict[str, TopicSize]) -> list[dict[str, object]]:
        relations = catalog.relations(self.connection, chosen, self.settings)
        found: list[dict[str, object]] = []
        for table in chosen:
            topic = _topic(self.settings, table)
            relation, size = relations.get(table.oid), sizes.get(topic)
            found.append(
                {
                    "table": table.qualified_name,
                    "topic": topic,
                    "key": None if relation is None else list(relation.key),
                    "partitions": None if size is None else size.partitions,
                    "records": None if size is None else size.records,
                }
            )
        return found


def _of_the_last_run(loaded: Loaded) -> Loaded:
    """Without the marks of full-table runs before it."""
    begin = None if loaded.offset is None else loaded.offset.consistent_point
    tables = {name: mark for name, mark in loaded.tables.items() if begin is not None and mark.position >= begin}
    return replace(loaded, tables=tables)


def _of_the_selected(loaded: Loaded, chosen: Sequence[Table]) -> Loaded:
    """Without the marks of tables that are not selected, or were not for a while: they are to be read again."""
    names = {table.qualified_name for table in chosen}
    tables = {name: mark for name, mark in loaded.tables.items() if name in names and not mark.left}
    return replace(loaded, tables=tables)


def _topic(settings: Settings, table: Table) -> str:
    return topics.topic_name(settings.topic_prefix, table.schema, table.name)


def _slot(found: Slot) -> dict[str, object]:
    return {
        "name": found.name,
        "plugin": found.plugin,
        "active": found.active_pid is not None,
        "active_pid": found.active_pid,
        "reader": found.reader,
        "confirmed_lsn": None if found.confirmed_lsn is None else str(found.confirmed_lsn),
        "restart_lsn": None if found.restart_lsn is None else str(found.restart_lsn),
        "wal_status": found.wal_status,
        "invalidation": found.invalidation,
        "retained_bytes": found.retained_bytes,
        "lag_bytes": found.lag_bytes,
    }


def _rows(loaded: Loaded) -> int:
    """Those of the tables that are read, and of the chunks of the others."""
    in_chunks = sum(mark.rows for marks in loaded.chunks.values() for mark in marks.values())
    return in_chunks + sum(mark.rows for mark in loaded.tables.values())


def _unfinished(
    connection: Connection, settings: Settings, loaded: Loaded, chosen: Sequence[Table], every: Sequence[Table]
) -> list[dict[str, object]]:
    """The tables that a snapshot has not read whole: chunks done, and chunks in all."""
    if loaded.offset is None or loaded.offset.snapshot is None:
        return []
    begun = {table.oid: table for table in every if table.qualified_name in loaded.chunks}
    waiting = {table.oid: table for table in chosen if table.qualified_name not in loaded.tables}
    found: list[dict[str, object]] = []
    for table in (begun | waiting).values():
        marks = loaded.chunks.get(table.qualified_name, {})
        done = {Chunk(*pages): mark for pages, mark in marks.items() if mark.filenode == table.filenode}
        left = chunks(connection, table, settings.snapshot_chunk_rows, done)
        rows = sum(mark.rows for mark in done.values())
        found.append(
            {"table": table.qualified_name, "chunks_done": len(done), "chunks": len(done) + len(left), "rows": rows}
        )
    return found


def _print(document: dict[str, object], findings: Sequence[Finding]) -> None:
    for name, value in document.items():
        if name == "findings":
            continue
        if isinstance(value, dict):
            click.echo(f"{name}:")
            for inner, one in value.items():
                click.echo(f"  {inner}: {_words(one)}")
        elif isinstance(value, list):
            click.echo(f"{name}:")
            for one in value:
                click.echo("  " + ", ".join(f"{k} {_words(v)}" for k, v in one.items()))
        else:
            click.echo(f"{name}: {_words(value)}")
    for finding in findings:
        click.echo(f"{finding.status}: {finding.name}: {printable(finding.detail)}")
        click.echo(f"  remedy: {printable(finding.remedy)}")


def _words(value: object) -> object:
    """For the eye: numbers in thousands, names one behind the other, and documents too."""
    match value:
        case None:
            return "none"
        case list():
            one_by_one = ("; " if any(isinstance(one, dict) for one in value) else ", ").join
            return one_by_one(str(_words(one)) for one in value) or "none"
        case dict():
            return ", ".join(f"{name} {_words(one)}" for name, one in value.items())
        case bool():
            return value
        case int():
            return f"{value:,}"
        case str():
            return printable(value)
    return value
