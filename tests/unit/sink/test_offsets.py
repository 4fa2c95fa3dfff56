"""The records of the offsets topic, byte for byte."""

import json

from producer.acks import Group
from producer.lsn import Lsn
from producer.sink.memory import MemorySink
from producer.sink.offsets import ChunkMark, Offset, OffsetsTopic, TableMark


def test_a_position_is_stored_under_the_names_that_debezium_has() -> None:
    offset = Offset(
        lsn=Lsn(200),
        slot="producer_shop",
        system_id="7301234567890123456",
        timeline=1,
        commit_lsn=Lsn(150),
        tx_id=739,
        commit_us=1_700_000_000_000_001,
        snapshot="running",
        consistent_point=Lsn(100),
    )
    assert json.loads(offset.as_json()) == {
        "lsn": 200,
        "lsn_proc": 200,
        "lsn_commit": 150,
        "txId": 739,
        "ts_usec": 1_700_000_000_000_001,
        "snapshot": "INITIAL",
        "snapshot_completed": False,
        "slot": "producer_shop",
        "system_id": "7301234567890123456",
        "timeline": 1,
        "consistent_point": 100,
    }


def test_what_is_not_known_yet_is_left_out() -> None:
    offset = Offset(lsn=Lsn(1), slot="s", system_id="2", timeline=3)
    assert offset.as_json() == b'{"lsn":1,"lsn_proc":1,"slot":"s","system_id":"2","timeline":3}'


def test_a_mark_is_rows_position_and_filenode() -> None:
    assert TableMark(rows=2, position=Lsn(3), filenode=None).as_json() == (b'{"rows":2,"position":3,"filenode":null}')


def test_a_chunk_s_mark_has_a_key_of_its_own() -> None:
    """Loaded by table; a null forgets it; a table's mark is another record."""
    sink = MemorySink()
    offsets = OffsetsTopic(sink, "offsets", name="n", server="p")
    offsets.ensure()
    mark = ChunkMark(rows=2, position=Lsn(3), filenode=4, system_id="5", timeline=6)
    for pages in ((0, 7), (7, None), (9, 12)):
        offsets.write_chunk("public.a", pages, mark, Group())
    offsets.write_chunk("public.b", (0, 1), mark, Group())
    record = sink.records("offsets")[1]
    assert record.key == b'["n",{"server":"p","table":"public.a","chunk":[7,null]}]'
    assert record.value == b'{"rows":2,"position":3,"filenode":4,"system_id":"5","timeline":6}'
    offsets.write_chunk("public.a", (9, 12), None, Group())
    offsets.write_chunk("public.b", (0, 1), None, Group())
    loaded = offsets.load(1)
    assert loaded.chunks == {"public.a": {(0, 7): mark, (7, None): mark}}
    assert loaded.tables == {}


def test_keys_are_compact_utf_8() -> None:
    sink = MemorySink()
    offsets = OffsetsTopic(sink, "offsets", name='bücher "1"', server="p", replication_factor=1)
    offsets.ensure()
    group = Group()
    offsets.write(None, group)
    offsets.write_mark("public.größe", None, group)
    assert [record.key for record in sink.records("offsets")] == [
        '["bücher \\"1\\"",{"server":"p"}]'.encode(),
        '["bücher \\"1\\"",{"server":"p","table":"public.größe"}]'.encode(),
    ]


def test_fields_of_a_later_version_are_no_error() -> None:
    sink = MemorySink()
    offsets = OffsetsTopic(sink, "offsets", name="n", server="p")
    offsets.ensure()
    value = b'{"lsn":1,"slot":"s","system_id":"2","timeline":3,"lsn_events_processed":9}'
    sink.send("offsets", b'["n",{"server":"p"}]', value, Group())
    assert offsets.load(1).offset == Offset(lsn=Lsn(1), slot="s", system_id="2", timeline=3)
