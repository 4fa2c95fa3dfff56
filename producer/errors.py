"""Every error the product raises on purpose, with its verdict and its remedy.

Room: errors (pure, the lowest tier; imports nothing of the package).

    ProducerError
    ├── SettingsError            exit 2   wrong settings or usage
    │   └── NotSupportedYet               a setting asks for a feature of a later release
    ├── OperatorError            exit 3   somebody must act: password, right, slot, schema
    │   ├── AccessDenied
    │   ├── ServerNotReady                wal_level, plugin missing or refused, standby
    │   ├── SlotUnfit                     a slot of that name is not for us: plugin, database, physical
    │   ├── PublicationUnfit              the publication does not publish what we promise to carry
    │   ├── SlotLost                      gone, lost, moved, re-created; the database has gone back
    │   │   ├── PublicationLost           part of the slot's log knows no publication of ours
    │   │   └── RetentionExceeded         given up by us: it held back too much WAL
    │   └── SchemaRefused                 the registry refuses a schema
    ├── DataError                exit 4   data that cannot be carried
    │   ├── DecodeError                   bytes that no decoder understands
    │   ├── ConversionError               a value that its Avro type cannot carry
    │   │   └── OversizedRecord           larger than the topic takes
    │   └── UnsupportedEvent              an event whose outcome cannot be told: which keys of a partition are gone
    └── TemporaryError           exit 5   retried with back-off; exit 5 when the limit is reached
        ├── PostgresUnavailable
        ├── SlotInUse
        ├── AnotherRun                another full-table run of this connector is under way
        ├── KafkaUnavailable
        ├── ProducerFenced            another producer has our transactional.id, or had it a moment ago
        ├── RegistryUnavailable
        └── NotSettled                what is compared does not come to rest

Anything else that escapes is a bug: exit 1.
"""

from __future__ import annotations

from enum import Enum


class Verdict(Enum):
    """What follows from an error: its value is the exit code of the process."""

    USAGE = 2
    OPERATOR = 3
    DATA = 4
    RETRY = 5


class ProducerError(Exception):
    """What happened, where, and what to do about it.

    `message` says what happened and where (table, column, key, LSN); it never holds a secret
    or a row's value. `remedy` says what to do, SQL or settings ready to paste.
    """

    verdict: Verdict = Verdict.OPERATOR

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  remedy: {self.remedy}" if self.remedy else self.message


class SettingsError(ProducerError):
    """Settings or usage that cannot work."""

    verdict = Verdict.USAGE


class NotSupportedYet(SettingsError):
    """A known setting whose value asks for a feature of a later release."""


class OperatorError(ProducerError):
    """Somebody must act before the producer can go on; it is never retried."""

    verdict = Verdict.OPERATOR


class AccessDenied(OperatorError):
    """A password, right or authorisation is missing."""


class ServerNotReady(OperatorError):
    """A server is not set up for the producer: wal_level, plugin, standby, version."""


class SlotUnfit(OperatorError):
    """A slot of that name is there, and it is not for us: physical, or of another plugin or database."""


class PublicationUnfit(OperatorError):
    """The publication does not publish all that we promise to carry, and is not ours to change."""


class SlotLost(OperatorError):
    """The replication slot cannot give what follows our position."""


class PublicationLost(SlotLost):
    """The publication was not there in some part of the log behind our position: the slot gives none of that."""


class RetentionExceeded(SlotLost):
    """The slot held back more WAL than `slot.max.retained.bytes`: it is given up."""


class SchemaRefused(OperatorError):
    """The schema registry refuses a schema."""


class DataError(ProducerError):
    """Data that cannot be carried; never skipped, never changed."""

    verdict = Verdict.DATA


class DecodeError(DataError):
    """Bytes that no decoder understands."""


class ConversionError(DataError):
    """A value that its Avro type cannot carry, or a row that cannot be explained."""

    def __init__(self, message: str, *, remedy: str, column: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.column = column
        """The column that is to blame, where one is."""


class OversizedRecord(ConversionError):
    """A record larger than the topic, or the Kafka client, takes."""


class UnsupportedEvent(DataError):
    """An event whose outcome cannot be told: a partition that went or was emptied, and its table cannot be compared."""


class TemporaryError(ProducerError):
    """A fault that passes: retried with back-off up to `errors.retry.timeout`."""

    verdict = Verdict.RETRY


class PostgresUnavailable(TemporaryError):
    """PostgreSQL cannot be reached, is starting, or cut the connection."""


class SlotInUse(TemporaryError):
    """Another session reads the slot; we wait as a warm standby."""


class AnotherRun(TemporaryError):
    """Another full-table run of this connector is under way; we wait for its end."""


class KafkaUnavailable(TemporaryError):
    """Kafka cannot be reached or did not acknowledge in time."""


class ProducerFenced(TemporaryError):
    """Two of us for one connector: we begin again, where the slot's only reader decides who goes on."""


class RegistryUnavailable(TemporaryError):
    """The schema registry cannot be reached or answers with a server error."""


class NotSettled(TemporaryError):
    """A comparison found no moment at which table and topic can be compared."""
