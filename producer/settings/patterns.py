"""Keys that hold free parts, those that are secret, and what may not be passed through.

Room: settings (pure). librdkafka, "CONFIGURATION.md".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

# Prefix of a pass-through key -> the field that collects it.
PASSED_ON = {
    "topic.creation.default.": "topic_creation_config",
    "producer.override.": "producer_override",
    "admin.override.": "admin_override",
    "consumer.override.": "consumer_override",
    "schema.registry.ssl.": "schema_registry_ssl",
    "snapshot.select.statement.overrides.": "snapshot_select_statements",
}

CLIENTS = ("producer.override.", "admin.override.", "consumer.override.")
# Those whose free part cannot be spelt in a variable's name.
FREE_TEXT = ("column.truncate.", "column.mask.", "snapshot.select.statement.overrides.")
SECRETS = frozenset({"database.password", "http.basic.auth.user.info", "schema.registry.basic.auth.user.info"})
_SECRET_WORDS = (
    "credential", "jaas", "key.pem", "oauthbearer.config", "passphrase", "password", "sasl.username", "secret", "token",
    "user.info",
)  # fmt: skip


def is_secret(key: str) -> bool:
    """Whether a key's value is never shown; of pass-through keys the name decides."""
    return key in SECRETS or any(word in key.lower() for word in _SECRET_WORDS)


def _one_of(*allowed: str) -> Callable[[str], bool]:
    return lambda value: value.lower() in allowed


def _at_most(limit: int) -> Callable[[str], bool]:
    return lambda value: value.isdecimal() and int(value) <= limit


def _positive(value: str) -> bool:
    return value.isdecimal() and int(value) > 0


# What keeps order and durability: the values that a user may still write down.
_HARMLESS: dict[str, tuple[Callable[[str], bool], str]] = {
    "acks": (_one_of("all", "-1"), "all"),
    "request.required.acks": (_one_of("all", "-1"), "all"),
    "enable.idempotence": (_one_of("true"), "true"),
    "max.in.flight": (_at_most(5), "at most 5"),
    "max.in.flight.requests.per.connection": (_at_most(5), "at most 5"),
    "message.timeout.ms": (_one_of("0"), "0"),
    "delivery.timeout.ms": (_one_of("0"), "0"),
    "retries": (_positive, "at least 1"),
    "message.send.max.retries": (_positive, "at least 1"),
    "partitioner": (_one_of("murmur2_random"), "murmur2_random"),
    "queuing.strategy": (_one_of("fifo"), "fifo"),
    "transaction.timeout.ms": (_positive, "900000, with exactly.once.support=required"),
}
_OURS = {
    "transactional.id": "exactly.once.support sets it",
    "enable.gapless.guarantee": "order is kept without it",
    "delivery.report.only.error": "every ack is counted",
    "default.topic.config": "name its properties one by one",
}
# Of every client: a text is no callback, and the brokers are one setting.
_NEVER = {
    "bootstrap.servers": "set bootstrap.servers itself",
    "metadata.broker.list": "set bootstrap.servers itself",
    "logger": "logs go where log.format says",
    "delivery.callback": "it is no text",
    "on_delivery": "it is no text",
    "on_commit": "it is no text",
}


def refused_overrides(prefix: str, overrides: Mapping[str, str]) -> list[tuple[str, str]]:
    """(key, why) of a client's overrides that order, durability or the client itself forbids."""
    refused = []
    producer = prefix == "producer.override."
    for name, value in overrides.items():
        why = _NEVER.get(name) or (producer and _OURS.get(name)) or (name.endswith("_cb") and "it is no text")
        if why:
            refused.append((prefix + name, f"cannot be set: {why}"))
        elif producer and name in _HARMLESS and not _HARMLESS[name][0](value.strip()):
            refused.append(
                (prefix + name, f"would weaken order or durability: leave it out (it is {_HARMLESS[name][1]})")
            )
    return refused
