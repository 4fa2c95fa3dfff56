"""Records larger than Kafka takes, and the dead-letter topic itself."""

from __future__ import annotations

import re
from typing import Any

import pytest

from producer.errors import OperatorError
from producer.lsn import Lsn
from producer.sink.kafka import KafkaSink
from tests.harness import Command, Source
from tests.letters import letters

LIMIT = 20_000
SMALL: dict[str, object] = {"producer.override.message.max.bytes": LIMIT}
ALL: dict[str, object] = {**SMALL, "errors.tolerance": "all"}
TABLE = "CREATE TABLE t (id int PRIMARY KEY, n int, big text)"


def synced(command: Command, settings: dict[str, object]) -> None:
    """A sync run that succeeds."""
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == 0, done.stderr
    # What is confirmed may be looked at next.
    command.source.left()


def ops(command: Command) -> list[Any]:
    """(operation or None for a tombstone, key)."""
    records: list[Any] = list(command.records("public.t"))
    return [(record.value and record.value["op"], record.key["id"]) for record in records]


def test_an_oversized_record_is_a_conversion_failure_with_its_size(source: Source, command: Command) -> None:
    """None: exit 4 with its size and position. All: a letter that is cut between characters. On both paths."""
    source.execute(TABLE)
    synced(command, SMALL)
    source.execute(
        "INSERT INTO t SELECT i, i, CASE WHEN i = 2 THEN repeat('é', 11000) END FROM generate_series(1, 3) i"
    )
    stopped = command.run("run", "--once", settings=SMALL)
    assert stopped.returncode == 4, stopped.stderr
    assert f"topic {command.prefix}.public.t, a record of 22" in stopped.stderr
    assert re.search(r"\(position [0-9A-F]+/[0-9A-F]+:2, key column id\)", stopped.stderr)
    assert "max.message.bytes" in stopped.stderr
    assert "éé" not in stopped.stderr
    synced(command, ALL)
    assert list(dict.fromkeys(ops(command))) == [("c", 1), ("c", 3)]
    assert command.run("slot", "drop", "--yes").returncode == 0
    synced(command, ALL)
    assert ops(command)[-2:] == [("r", 1), ("r", 3)]
    streamed, copied = letters(command)
    for letter, row in ((streamed, '{"id":2,"n":2,"big":"éé'), (copied, '{"id":"2","n":"2","big":"éé')):
        assert letter.key == {"id": 2}
        assert letter.value.decode().startswith(row)
        assert LIMIT * 0.8 < len(letter.value) < LIMIT
        assert letter.ours("truncated", "column") == ("true", "")
        assert int(letter.ours("size")[0]) > 22_000
        assert letter.headers["__connect.errors.exception.class.name"] == "producer.errors.OversizedRecord"
        assert "a record of 22" in letter.headers["__connect.errors.exception.message"]


def test_an_old_row_that_makes_it_too_large_is_left_out(source: Source, command: Command) -> None:
    """Under FULL, two large rows do not fit where one does; a delete is sent with its key."""
    source.execute(TABLE, "ALTER TABLE t REPLICA IDENTITY FULL")
    synced(command, ALL)
    source.execute(
        "INSERT INTO t VALUES (1, 1, repeat('x', 12000)), (2, 2, repeat('x', 30000)), (3, 3, 'small')",
        "UPDATE t SET n = 7 WHERE id = 1",
        "DELETE FROM t WHERE id = 2",
        "UPDATE t SET id = 4, big = repeat('x', 30000) WHERE id = 3",
    )
    synced(command, ALL)
    assert ops(command) == [("c", 1), ("c", 3), ("u", 1), ("d", 2), (None, 2), ("d", 3), (None, 3)]
    records: list[Any] = list(command.records("public.t"))
    assert (records[2].value["before"], records[2].value["after"]["n"]) == (None, 7)
    assert records[3].value["before"] == {"id": 2, "n": None, "big": None}
    assert records[5].value["before"] == {"id": 3, "n": 3, "big": "small"}
    found = letters(command)
    assert [letter.key for letter in found] == [{"id": 2}, {"id": 1}, {"id": 2}, {"id": 4}]
    assert [letter.ours("ordinal")[0] for letter in found] == ["2", "1", "1", "2"]


def test_a_record_that_only_the_broker_refuses_stops_with_its_position(source: Source, command: Command) -> None:
    """The topic's own limit, told when the record is there: exit 4, nothing confirmed, whatever the tolerance."""
    source.execute(TABLE)
    settings: dict[str, object] = {
        "errors.tolerance": "all", "topic.creation.default.max.message.bytes": 2000,
        "producer.override.compression.type": "none",
    }  # fmt: skip
    synced(command, settings)
    before = source.written("INSERT INTO t VALUES (1, 1, repeat('x', 3000))")
    for _ in range(2):
        done = command.run("run", "--once", settings=settings)
        assert done.returncode == 4, done.stderr
        assert re.search("of a transaction that commits by [0-9A-F]+/[0-9A-F]+", done.stderr)
        assert "MSG_SIZE_TOO_LARGE" in done.stderr
    assert Lsn.parse(source.confirmed_lsn() or "") <= before


def test_a_letter_that_is_not_acked_holds_the_slot(source: Source, command: Command) -> None:
    """Contract 7: it is acked before its LSN is confirmed. Its topic takes nothing: nothing is confirmed."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY, v int[])")
    synced(command, {"errors.tolerance": "all"})
    before = source.written("INSERT INTO t VALUES (1, '{{1}}')")
    sink = KafkaSink(command.bootstrap_servers, client_id="test")
    topic = f"{command.prefix}.full"
    config = {"max.message.bytes": "100", "cleanup.policy": "delete"}
    sink.ensure_topics([topic], partitions=1, replication_factor=1, config=config, create=True)
    sink.close(1)
    refusing: dict[str, object] = {"errors.tolerance": "all", "errors.deadletterqueue.topic.name": topic}
    done = command.run("run", "--once", settings=refusing)
    assert done.returncode == 4, done.stderr
    assert f"topic {topic}" in done.stderr
    assert Lsn.parse(source.confirmed_lsn() or "") <= before
    synced(command, {"errors.tolerance": "all"})
    assert [letter.key for letter in letters(command)] == [{"id": 1}]


def test_the_topic_is_made_at_the_start_or_must_be_there(source: Source, command: Command) -> None:
    """With delete policy; only when letters may be written; a wrong one is refused before a slot is made."""
    source.execute(TABLE)
    tolerant: dict[str, object] = {"errors.tolerance": "all"}
    for settings, code, words in (
        ({"errors.deadletterqueue.topic.name": f"{command.prefix}.public.t"}, 2, "is the topic of something else"),
        ({"errors.deadletterqueue.topic.name": "pg-producer-offsets"}, 2, "is the topic of something else"),
        ({"errors.deadletterqueue.topic.name": f"{command.prefix}.compacted"}, 3, "is compacted"),
        ({"topic.creation.enable": "false"}, 3, f"{command.prefix}.deadletter"),
    ):
        sink = KafkaSink(command.bootstrap_servers, client_id="test")
        for name, policy in ((f"{command.prefix}.compacted", "compact"), (f"{command.prefix}.public.t", "delete")):
            sink.ensure_topics(
                [name], partitions=1, replication_factor=1, config={"cleanup.policy": policy}, create=True
            )
        sink.close(1)
        done = command.run("run", "--once", settings={**tolerant, **settings})
        assert done.returncode == code, done.stderr
        assert words in done.stderr
        assert source.confirmed_lsn() is None
    checked = command.run("check", settings={**tolerant, "topic.creation.enable": "false"})
    assert checked.returncode == 3
    assert f"{command.prefix}.deadletter" in checked.stdout
    synced(command, {"topic.creation.default.cleanup.policy": "compact"})
    sink = KafkaSink(command.bootstrap_servers, client_id="test")
    with pytest.raises(OperatorError, match="missing in Kafka"):
        sink.partitions_of(f"{command.prefix}.deadletter")
    synced(command, {**tolerant, "topic.creation.default.cleanup.policy": "compact"})
    config = sink.topic_config(f"{command.prefix}.deadletter")
    sink.close(1)
    assert config is not None
    assert config["cleanup.policy"] == "delete"
