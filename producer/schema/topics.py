"""Names: topics, subjects, and names that Avro accepts.

Room: schema (pure). Apache Kafka, "Topic names"; Avro specification, "Names".
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from producer.errors import SettingsError

_TOPIC_REFUSES = re.compile(r"[^A-Za-z0-9._-]")
_TOPIC_LONGEST = 249
# An underscore that would begin an escape once the refused characters are escaped.
_LOOKS_ESCAPED = re.compile(r"_u[0-9a-f]+[^A-Za-z0-9]")
_AVRO_REFUSES = re.compile(r"[^A-Za-z0-9_]")


def topic_name(prefix: str, schema: str, table: str) -> str:
    """`<prefix>.<schema>.<table>`; a character that Kafka refuses becomes one `_`."""
    return _TOPIC_REFUSES.sub("_", f"{prefix}.{schema}.{table}")


def subjects(topic: str) -> tuple[str, str]:
    """The registry's subjects for a topic's keys and values (TopicNameStrategy)."""
    return f"{topic}-key", f"{topic}-value"


def check_collisions(prefix: str, tables: Iterable[tuple[str, str]], offsets: str = "") -> None:
    """Make sure that every table, `(schema, table)`, has a topic of its own, which is not that of the `offsets`.

    Raises:
        SettingsError: two topics are equal, or equal once `.` is read as `_` (Kafka's metrics
            cannot tell them apart, and it refuses the second); one is too long; or a part of the
            prefix is empty, which neither an Avro namespace nor `.` and `..` as topics allow.
    """
    if not all(prefix.split(".")):
        raise SettingsError(
            f"topic.prefix {prefix!r} has an empty part, and Avro namespaces are made of its parts",
            remedy="write something before, between and behind its dots",
        )
    taken: dict[str, tuple[str, str]] = {}
    for schema, table in tables:
        topic = topic_name(prefix, schema, table)
        if len(topic) > _TOPIC_LONGEST:
            raise SettingsError(
                f"the topic of table {schema}.{table} would have {len(topic)} characters, more than Kafka's "
                f"{_TOPIC_LONGEST}",
                remedy="choose a shorter topic.prefix, or leave the table out with table.exclude.list",
            )
        if topic == offsets:
            raise SettingsError(
                f"offset.storage.topic: {offsets} is the topic of table {schema}.{table}",
                remedy="set it to a topic of its own",
            )
        other = taken.setdefault(topic.replace(".", "_"), (schema, table))
        if other != (schema, table):
            raise SettingsError(
                f"tables {other[0]}.{other[1]} and {schema}.{table} would share the topic {topic}",
                remedy="leave one of them out with table.exclude.list, or rename it",
            )


def avro_name(name: str) -> str:
    """A name that Avro accepts, never the same for two names.

    A refused character becomes `_u<hex>_`; what looks like such an escape has its first `_` escaped.
    """
    parts = []
    for place, character in enumerate(name):
        refused = _AVRO_REFUSES.match(character) or (place == 0 and character.isdigit())
        if refused or (character == "_" and _LOOKS_ESCAPED.match(name, place)):
            parts.append(f"_u{ord(character):x}_")
        else:
            parts.append(character)
    return "".join(parts)


def namespace(prefix: str, *names: str) -> str:
    """The Avro namespace of a table's or a schema's records; the prefix's own dots separate, others are escaped."""
    return ".".join(avro_name(part) for part in (*prefix.split("."), *names))
