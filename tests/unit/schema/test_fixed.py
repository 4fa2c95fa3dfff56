"""The fixed records parse, are named as Debezium names them, and fit the transcoder's bytes."""

import io
from collections.abc import Mapping
from importlib import resources
from typing import Any

import fastavro
import pytest

from producer.events import Position
from producer.lsn import Lsn
from producer.schema import fixed
from producer.transcode.source_block import SourceBlock, message_value

RECORDS = {
    "io.debezium.connector.postgresql.Source": fixed.SOURCE,
    "event.block": fixed.TRANSACTION_BLOCK,
    "io.debezium.connector.common.ServerNameKey": fixed.HEARTBEAT_KEY,
    "io.debezium.connector.common.Heartbeat": fixed.HEARTBEAT_VALUE,
    "io.debezium.connector.common.TransactionMetadataKey": fixed.TRANSACTION_METADATA_KEY,
    "io.debezium.connector.common.TransactionMetadataValue": fixed.TRANSACTION_METADATA_VALUE,
    "io.debezium.connector.postgresql.MessageKey": fixed.MESSAGE_KEY,
    "io.debezium.connector.postgresql.MessageValue": fixed.MESSAGE_VALUE,
}


@pytest.mark.parametrize("name", RECORDS)
def test_parses_alone(name: str) -> None:
    schema = RECORDS[name]
    parsed = fastavro.parse_schema(schema)
    assert isinstance(parsed, dict)
    assert parsed["name"] == name
    assert schema["connect.name"] == name
    assert schema["connect.version"] == 1


def test_every_file_is_loaded() -> None:
    files = [item for item in resources.files("producer.schemas").iterdir() if item.name.endswith(".avsc")]
    assert len(files) == len(RECORDS)


def test_source_fields_in_the_contracts_order() -> None:
    assert [field["name"] for field in fixed.SOURCE["fields"]] == [
        "version",
        "connector",
        "name",
        "ts_ms",
        "snapshot",
        "db",
        "sequence",
        "ts_us",
        "ts_ns",
        "schema",
        "table",
        "txId",
        "lsn",
        "xmin",
        "origin",
        "origin_lsn",
        "commit_lsn",
        "ordinal",
    ]


def test_snapshot_marker_as_debezium_writes_it() -> None:
    allowed = "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"
    assert _field(fixed.SOURCE, "snapshot") == {
        "name": "snapshot",
        "type": [
            {
                "type": "string",
                "connect.version": 1,
                "connect.parameters": {"allowed": allowed},
                "connect.default": "false",
                "connect.name": "io.debezium.data.Enum",
            },
            "null",
        ],
        "default": "false",
    }


@pytest.mark.parametrize("name", ["commit_lsn", "ordinal"])
def test_positions_are_nullable(name: str) -> None:
    assert _field(fixed.SOURCE, name) == {"name": name, "type": ["null", "long"], "default": None}


def test_the_source_blocks_bytes_follow_the_schema() -> None:
    block = SourceBlock(version="1.0", name="shop", database="db")
    parts = block.transaction(
        record_head=b"", xid=745, commit_lsn=Lsn(300), commit_us=1_700_000_000_123_456, previous=Lsn(100)
    )
    data = block.whole(parts, schema="public", table="orders", lsn=Lsn(200), position=Position(Lsn(300), 7))
    reader = io.BytesIO(data)
    record = fastavro.schemaless_reader(reader, fastavro.parse_schema(fixed.SOURCE), None)
    assert reader.tell() == len(data)
    assert record == {
        "version": "1.0",
        "connector": "postgresql",
        "name": "shop",
        "ts_ms": 1_700_000_000_123,
        "snapshot": "false",
        "db": "db",
        "sequence": '["100","200"]',
        "ts_us": 1_700_000_000_123_456,
        "ts_ns": 1_700_000_000_123_456_000,
        "schema": "public",
        "table": "orders",
        "txId": 745,
        "lsn": 200,
        "xmin": None,
        "origin": None,
        "origin_lsn": None,
        "commit_lsn": 300,
        "ordinal": 7,
    }


@pytest.mark.parametrize("content", [b"", b"text", bytes(range(256))])
def test_a_messages_bytes_follow_the_schema(content: bytes) -> None:
    """Outside of a transaction: its own LSN as position, no block, no transaction id."""
    block = SourceBlock(version="1.0", name="shop", database="db")
    micros = 1_700_000_000_123_456
    parts = block.outside(micros=micros, lsn=Lsn(200), previous=None)
    source = block.whole(parts, schema="", table="", lsn=Lsn(200), position=Position(Lsn(200), 0))
    reader = io.BytesIO(message_value(b"", source, b"\x00", micros=micros, prefix="é", content=content))
    record: Any = fastavro.schemaless_reader(reader, fastavro.parse_schema(fixed.MESSAGE_VALUE), None)
    assert not reader.read()
    assert (record["op"], record["ts_ms"], record["transaction"]) == ("m", 1_700_000_000_123, None)
    assert record["message"] == {"prefix": "é", "content": content}
    shown = {name: record["source"][name] for name in ("schema", "table", "txId", "lsn", "commit_lsn", "ordinal")}
    assert shown == {"schema": "", "table": "", "txId": None, "lsn": 200, "commit_lsn": 200, "ordinal": 0}
    assert (record["source"]["ts_us"], record["source"]["sequence"]) == (micros, '[null,"200"]')


def _field(schema: Mapping[str, Any], name: str) -> object:
    return next(field for field in schema["fields"] if field["name"] == name)
