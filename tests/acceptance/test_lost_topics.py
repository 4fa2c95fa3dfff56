"""Topics that somebody changes under a running producer: it stops and says so, nothing is lost silently."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exported without saying so
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from producer.lsn import Lsn
from tests.harness import Command, Running, Source, wait_for
from tests.links import TABLE, Watched

# How long the client takes an unknown topic for one that brokers have only not heard of yet: 30 s by default.
SOON: dict[str, object] = {
    "producer.override.topic.metadata.propagation.max.ms": 1000,
    "producer.override.topic.metadata.refresh.interval.ms": 1000,
}


@pytest.fixture
def admin(command: Command) -> AdminClient:
    """Somebody with all rights."""
    return AdminClient({"bootstrap.servers": command.bootstrap_servers, "log_level": 0})


def begun(source: Source, command: Command, settings: Mapping[str, object]) -> tuple[Watched, Running]:
    """A producer whose topic holds three rows."""
    source.execute(TABLE)
    running = command.start("run", settings=settings)
    running.wait_for("streaming")
    watched = Watched(source, command, running)
    watched.insert(3)
    watched.arrived()
    return watched, running


def set_topic(admin: AdminClient, topic: str, **values: str) -> None:
    """Alter its configuration, and wait until the broker has heard of it."""
    entries = [
        ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
        for name, value in values.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    for done in admin.incremental_alter_configs([resource]).values():
        done.result(10)

    def heard() -> bool:
        (answer,) = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
        found = answer.result(10)
        return all(found[entry.name].value == entry.value for entry in entries)

    wait_for(heard, what="the broker to know the topic's configuration")


def test_a_topic_that_is_deleted(source: Source, command: Command, admin: AdminClient) -> None:
    """Exit 3 once a row has nowhere to go, the slot stays; the next start makes the topic and sends the row."""
    watched, running = begun(source, command, SOON)
    topic = f"{command.prefix}.public.t"
    admin.delete_topics([topic])[topic].result(10)
    # The controller has answered; the broker may still take a row.
    wait_for(lambda: topic not in admin.list_topics(timeout=10).topics, what="the broker to know that it is gone")
    watched.insert()
    assert running.process.wait(40) == 3, running.stderr
    assert topic in running.stderr
    assert "create the topic" in running.stderr
    # What others wrote before the row may be confirmed.
    commit = re.search(r"commits by ([0-9A-F]+/[0-9A-F]+)", running.stderr)
    assert commit, running.stderr
    assert Lsn.parse(source.confirmed_lsn() or "") < Lsn.parse(commit[1])
    done = command.run("run", "--once")
    assert done.returncode == 0, done.stderr
    assert [record.key for record in command.records()] == [{"id": 3}], "what was in the topic is gone with it"


def test_a_topic_that_is_made_compacted(source: Source, command: Command, admin: AdminClient) -> None:
    """It refuses a truncate's null key from then on: each key that it holds is deleted instead."""
    watched, running = begun(source, command, {})
    set_topic(admin, f"{command.prefix}.public.t", cleanup_policy="compact")
    watched.insert()
    watched.arrived()
    inserted = len(command.records("public.t"))
    source.execute("TRUNCATE t")
    wait_for(lambda: len(command.records("public.t")) == 3 * inserted, what="deletes and tombstones")
    assert running.stop() == 0
    values: list[Any] = [record.value for record in command.records("public.t")]
    assert [value and value["op"] for value in values] == ["c"] * inserted + ["d", None] * inserted


def test_a_topic_whose_limit_is_lowered(source: Source, command: Command, admin: AdminClient) -> None:
    """Exit 4 with the position, nothing lost once it is raised again."""
    watched, running = begun(source, command, {"producer.override.compression.type": "none"})
    set_topic(admin, f"{command.prefix}.public.t", max_message_bytes="200")
    watched.insert()
    assert running.process.wait(30) == 4, running.stderr
    assert "max.message.bytes" in running.stderr
    assert "commits by" in running.stderr
    set_topic(admin, f"{command.prefix}.public.t", max_message_bytes="1048588")
    assert command.run("run", "--once").returncode == 0
    assert [record.key for record in command.records()] == [{"id": number} for number in range(4)]
