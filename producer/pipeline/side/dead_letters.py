"""Dead letters: the rows that no record could carry, on a topic of their own. docs/errors.md tells their form.

Room: pipeline (IO: Kafka, through the sink it is given). Kafka Connect user guide, "Error Reporting".
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from producer import observe
from producer.errors import ConversionError, OperatorError, OversizedRecord, SettingsError
from producer.events import Position
from producer.lsn import Lsn
from producer.observe import Counters
from producer.pipeline import skips
from producer.settings import Settings
from producer.sink.protocol import Headers, Sink

_log = observe.logger("producer.dead_letters")
# A batch of one record around it, as the broker counts it.
_BATCH_BYTES = 512
_LOG_EVERY = 1000
_CONNECT = "__connect.errors."
_OURS = "__producer."


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to be handed to the sink."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    op: str = ""
    """What it is as an event of its table: c, u, d; nothing: a tombstone or a letter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A row that could not be carried, and why."""

    error: ConversionError
    topic: str
    """Where its record would have gone."""
    key: bytes | None
    """Its record's key, where that could be made."""
    table: str
    row: Mapping[str, bytes]
    """Each column's value as JSON."""
    key_columns: Sequence[str]
    lsn: Lsn
    position: Position


class DeadLetters:
    """What `errors.tolerance` asks for: to stop at such a row, or to set it aside and go on."""

    def __init__(self, settings: Settings, sink: Sink, counters: Counters) -> None:
        self.tolerant = settings.errors_tolerance == "all"
        self.topic = settings.errors_deadletterqueue_topic_name
        self._settings = settings
        self._sink = sink
        self._counters = counters
        self._errors = counters.errors
        self._seen: Counter[tuple[str, str]] = Counter()
        self._limit = sink.largest_record

    def ensure(self, others: Collection[str]) -> None:
        """Make sure of the topic, when letters may be written.

        Raises:
            SettingsError: it is the topic of something else.
            OperatorError: it is not there and may not be made, or it is compacted.
        """
        if not self.tolerant:
            return
        settings = self._settings
        if self.topic in {*others, settings.offset_storage_topic}:
            raise SettingsError(
                f"errors.deadletterqueue.topic.name: {self.topic} is the topic of something else",
                remedy="set it to a topic of its own",
            )
        self._sink.ensure_topics(
            [self.topic],
            partitions=1,
            replication_factor=settings.topic_creation_default_replication_factor,
            config={**settings.topic_creation_config, "cleanup.policy": "delete"},
            create=settings.topic_creation_enable,
        )
        config = self._sink.topic_config(self.topic) or {}
        if "compact" in config.get("cleanup.policy", ""):
            raise OperatorError(
                f"the dead-letter topic {self.topic} is compacted: it refuses a row without key, and forgets all but "
                "the last of a key",
                remedy=f"kafka-configs --alter --topic {self.topic} --add-config cleanup.policy=delete",
            )
        if "max.message.bytes" in config:
            self._limit = min(self._limit, int(config["max.message.bytes"]) - _BATCH_BYTES)

    def stop(self, error: ConversionError, key_columns: Sequence[str] | None, position: Position) -> ConversionError:
        """The same error, with what an operator needs to go on."""
        where = f"position {position.commit_lsn}:{position.ordinal}"
        if key_columns is not None:
            where += f", key column {', '.join(key_columns)}" if key_columns else ", no key"
        # A snapshot's row has no position of its own.
        skip = f"; {skips.remedy(position)}" if position.ordinal else ""
        return type(error)(
            f"{error.message} ({where})",
            remedy=f"{error.remedy}; or set errors.tolerance=all: such a row goes to {self.topic}{skip}",
            column=error.column,
        )

    def fits(self, key: bytes | None, value: bytes | None, headers: Headers, spare: int = 0) -> bool:
        """Whether the Kafka client takes such a record, and `spare` bytes more."""
        return _size(key, value, headers) + spare <= self._sink.largest_record

    def demand_fit(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers | None = None, *, spare: int = 0
    ) -> None:
        """Refuse a record that the Kafka client would.

        Raises:
            OversizedRecord: with its size.
        """
        if not self.fits(key, value, headers or [], spare):
            raise OversizedRecord(
                f"topic {topic}, a record of {len(key or b'') + len(value or b'')} bytes: larger than the Kafka client "
                "takes",
                remedy="raise the topic's max.message.bytes and producer.override.message.max.bytes above it",
            )

    def record(self, letter: Letter) -> Outgoing:
        """The letter as a record, cut to what its topic takes; it is counted and logged."""
        document = _object(letter.row)
        # A key that leaves little room for anything else is in the row, too.
        key = letter.key if len(letter.key or b"") <= self._limit // 4 else None
        names = {name: letter.row[name] for name in letter.key_columns if name in letter.row}
        shown = _object(names) if names else b"null"
        headers = _headers(letter, shown if len(shown) <= self._limit // 4 else b"null")
        headers += [(f"{_OURS}size", str(len(document)).encode()), (f"{_OURS}truncated", b"false")]
        room = self._limit - _size(key, None, headers)
        if len(document) > room:
            document = document[: max(room, 0)].decode("utf-8", "ignore").encode()
            headers[-1] = (f"{_OURS}truncated", b"true")
        self._note(letter)
        return Outgoing(self.topic, key, document, headers)

    def _note(self, letter: Letter) -> None:
        kind = type(letter.error).__name__
        self._errors[kind] = self._errors.get(kind, 0) + 1
        place = (letter.table, letter.error.column)
        self._seen[place] += 1
        if self._seen[place] == 1:
            self._counters.recent.tell(kind, letter.error.message, letter.error.remedy)
        if self._seen[place] == 1 or self._seen[place] % _LOG_EVERY == 0:
            _log.error(
                "a row went to the dead letters",
                table=letter.table, position=f"{letter.position.commit_lsn}:{letter.position.ordinal}", kind=kind,
                reason=letter.error.message, topic=self.topic, count=self._seen[place], remedy=letter.error.remedy,
            )  # fmt: skip


def _object(values: Mapping[str, bytes]) -> bytes:
    members = (json.dumps(name, ensure_ascii=False).encode() + b":" + value for name, value in values.items())
    return b"{" + b",".join(members) + b"}"


def _headers(letter: Letter, key: bytes) -> Headers:
    error = letter.error
    return [
        (f"{_CONNECT}topic", letter.topic.encode()),
        (f"{_CONNECT}exception.class.name", f"{type(error).__module__}.{type(error).__name__}".encode()),
        (f"{_CONNECT}exception.message", error.message.encode()),
        (f"{_OURS}table", letter.table.encode()),
        (f"{_OURS}column", error.column.encode()),
        (f"{_OURS}key", key),
        (f"{_OURS}lsn", str(letter.lsn).encode()),
        (f"{_OURS}commit_lsn", str(letter.position.commit_lsn).encode()),
        (f"{_OURS}ordinal", str(letter.position.ordinal).encode()),
    ]


def _size(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """As the client counts: a header's lengths take up to five bytes each."""
    return len(key or b"") + len(value or b"") + sum(len(name.encode()) + len(text) + 10 for name, text in headers)


def sum_up(counters: Counters, topic: str) -> None:
    """Say at the end how many rows were set aside."""
    for kind, count in sorted(counters.errors.items()):
        _log.warning("rows went to the dead letters", topic=topic, kind=kind, count=count)
