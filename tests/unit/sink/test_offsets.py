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


def test_what_put_the_tables_into_the_publication() -> None:
    """One record, by OIDs; a null forgets it; another connector's is another's."""
    sink = MemorySink()
    offsets = OffsetsTopic(sink, "offsets", name="n", server="p")
    offsets.ensure()
    offsets.write_published({16400: 16500, 16401: -16501}, Group())
    OffsetsTopic(sink, "offsets", name="n", server="q").write_published({1: 2}, Group())
    record = sink.records("offsets")[0]
    assert record.key == b'["n",{"server":"p","published":true}]'
    assert record.value == b'{"tables":{"16400":16500,"16401":-16501}}'
    assert offsets.load(1).published == {16400: 16500, 16401: -16501}
    offsets.write_published(None, Group())
    assert offsets.load(1).published == {}


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


def test_a_straggler_does_not_put_the_position_back() -> None:
    """A reader that was suspended stores its last position behind its successor's: the further one of a slot holds."""
    sink = MemorySink()
    offsets = OffsetsTopic(sink, "offsets", name="n", server="p", replication_factor=1)
    offsets.ensure()
    further = Offset(lsn=Lsn(20), slot="s", system_id="2", timeline=1)
    group = Group()
    for position in (further, Offset(lsn=Lsn(10), slot="s", system_id="2", timeline=1)):
        offsets.write(position, group)
    assert offsets.load(1).offset == further
    for other in (
        Offset(lsn=Lsn(5), slot="s", system_id="3", timeline=1),
        Offset(lsn=Lsn(4), slot="s", system_id="3", timeline=2),
        Offset(lsn=Lsn(3), slot="t", system_id="3", timeline=2),
    ):
        offsets.write(other, group)
        assert offsets.load(1).offset == other
    offsets.write(None, group)
    offsets.write(Offset(lsn=Lsn(1), slot="t", system_id="3", timeline=2), group)
    assert offsets.load(1).offset == Offset(lsn=Lsn(1), slot="t", system_id="3", timeline=2), "forgotten meanwhile"
