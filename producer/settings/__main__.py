"""`python -m producer.settings`: prints docs/settings.md, made from the fields themselves.

Room: settings (IO: stdout).
"""

from __future__ import annotations

import sys

from producer.settings.model import FIELDS, Settings
from producer.settings.patterns import PASSED_ON
from producer.settings.support import NOT_YET

_HEAD = """# Settings

Made from the code by `python -m producer.settings`. Names are Kafka Connect's and Debezium's where those have one.

Sources, the later wins: defaults, the file of `--config` (`.toml`, `.json`, `.properties`, or a Connect document), the
environment (`PRODUCER_` and the key in upper case with `_` for `.`), `--set key=value`. `${env:NAME}` and
`${file:/path:key}` are put in wherever they stand. Everything wrong is told at once; an unknown key names the nearest
known one. In a Connect document, properties of Connect and Debezium without a meaning here are a warning each.

Lists are parted by commas (`\\,` is one that parts nothing); a file may hold an array. Keys with a free part that names
a table, or a salt, cannot come from the environment. Secrets, and pass-through values whose name sounds like one
(`sasl.password`, …), are never shown.

| key | default | meaning |
|---|---|---|
"""
_PASSED = {
    "topic.creation.default.": "Any other Kafka topic setting, for topics that are created.",
    "producer.override.": "Any librdkafka property of the producer; what would weaken order or durability is refused.",
    "admin.override.": "Any librdkafka property of the admin client.",
    "consumer.override.": "Any librdkafka property of the consumers (offsets, `tail`).",
    "schema.registry.ssl.": "`ca.location`, `certificate.location`, `key.location`, `key.password`.",
    "snapshot.select.statement.overrides.": "A table's SELECT; see docs/filters.md.",
}
_DERIVED = {
    "name": "value of `topic.prefix`",
    "slot.name": "`producer_<dbname>`",
    "publication.name": "`producer_<dbname>`",
    "errors.deadletterqueue.topic.name": "`<prefix>.deadletter`",
    "topic.prefix": "required",
}


def document() -> str:
    """The whole page."""
    lines = []
    for key, name in FIELDS.items():
        field = Settings.model_fields[name]
        later = f" **Not supported yet:** {NOT_YET[key][1]}." if key in NOT_YET else ""
        lines.append(f"| `{key}` | {_default(key, field.default)} | {field.description}{later} |")
    lines += [f"| `{prefix}*` | | {_PASSED[prefix]} |" for prefix in PASSED_ON]
    lines.append(
        "| `column.truncate.to.N.chars`, `column.mask.with.N.chars`, `column.mask.hash.ALG.with.salt.SALT`, "
        "`column.mask.hash.v2.ALG.with.salt.SALT` | | Columns, on `schema.table.column`, whose values are shortened "
        "or hidden; see docs/filters.md. |"
    )
    return _HEAD + "\n".join(lines) + "\n"


def _default(key: str, value: object) -> str:
    if key in _DERIVED:
        return _DERIVED[key]
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or value == "" or value == ():
        return "none"
    if value == frozenset():
        return "`none`"
    return f"`{value}`"


if __name__ == "__main__":
    sys.stdout.write(document())
