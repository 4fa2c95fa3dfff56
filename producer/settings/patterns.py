"""Keys that hold free parts, and values with a syntax of their own.

Room: settings (pure). Debezium's PostgreSQL connector, "Connector configuration properties".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

# Column transformations: the key itself holds a number, an algorithm, a salt.
COLUMN_KEYS = re.compile(
    r"column\.(truncate\.to\.\d+\.chars|mask\.with\.\d+\.chars|mask\.hash(\.v2)?\.[^.]+\.with\.salt\..+)"
)
# Prefix of a pass-through key -> the field that collects it.
PASSED_ON = {
    "topic.creation.default.": "topic_creation_config",
    "producer.override.": "producer_override",
    "admin.override.": "admin_override",
    "consumer.override.": "consumer_override",
    "schema.registry.ssl.": "schema_registry_ssl",
    "snapshot.select.statement.overrides.": "snapshot_select_statements",
}

Filter = tuple[re.Pattern[str], ...]


def compile_list(text: str) -> Filter:
    """Comma-separated, anchored, case-insensitive expressions; a comma may be escaped."""
    parts = (part.strip().replace("\\,", ",") for part in re.split(r"(?<!\\),", text))
    compiled = []
    for part in parts:
        if not part:
            continue
        try:
            compiled.append(re.compile(part, re.IGNORECASE))
        except re.error as error:
            raise ValueError(f"{part!r} is no regular expression: {error}") from error
    return tuple(compiled)


def matches(expressions: Filter, name: str) -> bool:
    """True when one of them matches the whole name."""
    return any(expression.fullmatch(name) for expression in expressions)


def _one_of(*allowed: str) -> Callable[[str], bool]:
    return lambda value: value.lower() in allowed


def _at_most(limit: int) -> Callable[[str], bool]:
    return lambda value: value.isdigit() and int(value) <= limit


# What keeps order and durability: the values that a user may still write down.
_HARMLESS: dict[str, Callable[[str], bool]] = {
    "acks": _one_of("all", "-1"),
    "request.required.acks": _one_of("all", "-1"),
    "enable.idempotence": _one_of("true"),
    "max.in.flight": _at_most(5),
    "max.in.flight.requests.per.connection": _at_most(5),
    "message.timeout.ms": _one_of("0"),
    "delivery.timeout.ms": _one_of("0"),
    "retries": lambda value: value.isdigit() and int(value) > 0,
    "message.send.max.retries": lambda value: value.isdigit() and int(value) > 0,
    "partitioner": _one_of("murmur2_random"),
    "queuing.strategy": _one_of("fifo"),
}
_OURS = {
    "bootstrap.servers": "set bootstrap.servers itself",
    "metadata.broker.list": "set bootstrap.servers itself",
    "transactional.id": "exactly.once.support sets it",
    "enable.gapless.guarantee": "order is kept without it",
    "delivery.report.only.error": "every ack is counted",
    "logger": "logs go where log.format says",
}


def refused_overrides(overrides: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """(librdkafka property, why) of the producer overrides that order or durability forbids."""
    refused = []
    for name, value in overrides:
        if name in _OURS:
            refused.append((name, f"cannot be set here: {_OURS[name]}"))
        elif name in _HARMLESS and not _HARMLESS[name](value.strip()):
            refused.append((name, f"cannot be {value.strip()}: it would weaken order or durability"))
    return refused


_COLUMNS_OF = re.compile(r"[^:;]+:[^:;,]+(,[^:;,]+)*")


def key_columns(text: str) -> dict[str, tuple[str, ...]]:
    """`schema.table:col1,col2;…` by table."""
    found = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        if not _COLUMNS_OF.fullmatch(part):
            raise ValueError(f"{part!r} is not of the form schema.table:column1,column2")
        table, _, columns = part.partition(":")
        found[table.strip()] = tuple(column.strip() for column in columns.split(","))
    return found
