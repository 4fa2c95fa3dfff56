"""Masks: Debezium's digests, cuts and nulls; what they do not apply to is told.

The digests and cuts were printed by Debezium 3.5.0.Final's own classes (debezium-connector-common), by

    Column text = Column.editor().name("c").jdbcType(Types.VARCHAR).create();
    new MaskStrings("salt.é".getBytes("UTF-8"), algorithm, V1 or V2).create(text).convert(value)
    new TruncateColumn(3).create(text).convert("größe")
"""

from __future__ import annotations

import pytest

from producer.events import Column, PgType, Relation
from producer.schema.avro import column_type
from producer.schema.masks import Mask, doubts, mask_of
from producer.schema.plan import table_plan
from producer.schema.types import Modes
from producer.settings.transformations import transformation, transformations
from producer.transcode.source_block import string


def base(name: str, oid: int = 25, schema: str = "pg_catalog") -> PgType:
    return PgType(oid=oid, schema=schema, name=name, kind="base")


TEXT, VARCHAR, INT4 = base("text"), base("varchar", 1043), base("int4", 23)
MOOD = PgType(oid=90000, schema="q", name="mood", kind="enum", labels=("sad", "ok"))
CODE = PgType(oid=90001, schema="q", name="code", kind="domain", base=VARCHAR, base_typmod=9)


def relation(*columns: Column) -> Relation:
    return Relation(
        oid=1,
        schema="s",
        name="t",
        columns=columns,
        key=("id",),
        identity="default",
        identity_columns=frozenset({"id"}),
    )


def mask(key: str, type: PgType = TEXT, *, typmod: int = -1, modes: Modes | None = None) -> Mask | None:
    column = Column(name="c", attnum=1, type=type, typmod=typmod)
    rules = transformations({key: r"s\.t\.c"})
    return mask_of(relation(column), column, column_type(column, modes or Modes()), rules)


def written(key: str, text: str, type: PgType = TEXT, *, typmod: int = -1, modes: Modes | None = None) -> bytes:
    found = mask(key, type, typmod=typmod, modes=modes)
    assert found is not None
    assert found.value.function is not None
    return found.value.function(text.encode())


@pytest.mark.parametrize(
    ("kind", "algorithm", "text", "digest"),
    [
        ("hash", "SHA-256", "", "6a387760346e94864bee264f6d875e1057a47db81daf3955727cabe7759d4862"),
        ("hash", "SHA-256", "hello", "7b81c9d86151ebb81849204cf3e9e46ae0c74812e294f89ef5654ccf93826b6a"),
        ("hash", "SHA-256", "größe", "1be464d21dc284b556c6408368502b5a0ba9e10d56a19853c6899997d094edd1"),
        ("hash", "SHA-256", "a😀b", "c3c6d584d383cefb1ee31f45a47139506d576b51afde91a87a899c3daa9253c0"),
        ("hash", "SHA-256", "70000 chars", "7fda9c60c0191759b2030cdd0482f8de7df7814af3f169e8924b414502617a7b"),
        ("hash", "SHA-256", "ab   ", "d9fed74a4cb0c3d411ce81f7a1ae09268424506cab1747f11b1e7174de75bf69"),
        ("hash.v2", "SHA-256", "", "fd16b224d3e73170ccf037f5a44ba4b0ccf3dc33310f1a5b4d213edcde8f0009"),
        ("hash.v2", "SHA-256", "hello", "da16ed0705950b8b798693a08ced231462784a12903cecd07e4cc7e2495832a5"),
        ("hash.v2", "SHA-256", "größe", "dd6fade8c4244c0a533211f4c30c3dc6f2b00053a1e39b51c375685c2b5d741b"),
        ("hash.v2", "SHA-256", "a😀b", "d99f322f0aadb89b4a16b3cd9e832a1c558f4831980df0c18211447c97a7074b"),
        ("hash.v2", "SHA-256", "70000 chars", "fe0102706efd67a6a243498dee374463c21aae7889ca38f3d545792fb131156f"),
        ("hash.v2", "SHA-256", "ab   ", "f779f180bb3538f19655ed3a109a2e5cda0139c855a18bd769a7cf747fcba429"),
        ("hash", "MD5", "hello", "2e570ad9613126fe3a716e38b10f27ac"),
        ("hash", "MD5", "a😀b", "1683523fbfe801cd9d3a79ed54c5056a"),
        ("hash.v2", "SHA3-256", "hello", "3c03e85eea59194b5fcf2de0ada6451430e7c1cddc4de1b58205c99695c5b8e0"),
        ("hash.v2", "SHA3-256", "a😀b", "063346ac330553e21af7c60a0e6da251988b6324e59c8bb8d968483efe33e7be"),
        ("hash.v2", "SHA-512/256", "hello", "7a3c0a5815018d4112d2cd01df16864e8dc5e889abfa73bd2a92c4d05a0f627a"),
        ("hash.v2", "SHA-512/256", "a😀b", "9774ceaca9b7271135236ed340f7111b84bd3d2a30d2043af7efd7fc35c88d89"),
        ("hash", "SHA-1", "hello", "135839c927a95878011d6c75ff3c8bd93344c10e"),
        ("hash", "SHA-1", "a😀b", "a56606a567bc4eacca3564cc33d1071e4d809000"),
    ],
)
def test_digests_are_debeziums(kind: str, algorithm: str, text: str, digest: str) -> None:
    """A text above 65535 bytes has another mark and a longer length in Java's form."""
    value = "x" * 70000 if text == "70000 chars" else text
    assert written(f"column.mask.{kind}.{algorithm}.with.salt.salt.é", value) == string(digest)


@pytest.mark.parametrize(
    ("character", "times", "end", "digest"),
    [
        ("x", 65535, "", "a6e163b7fc9840323b47bf8139e03504"),
        ("x", 65536, "", "1a038d13537964f08536a282c323570d"),
        ("ä", 32767, "x", "d9059bd48fd28cc43dd18c63d4d97257"),
        ("ä", 32768, "", "77fd255e9418493f501a575092bdc6e8"),
        ("😀", 10922, "xxx", "19916d0d33ce0199e69913fba2b183f0"),
        ("😀", 10922, "xxxx", "e458721ecf7e2a1ba36264126fe48cca"),
    ],
)
def test_where_the_long_form_begins(character: str, times: int, end: str, digest: str) -> None:
    """At 65536 bytes as Java counts them: six for what is four in UTF-8."""
    assert written("column.mask.hash.MD5.with.salt.s", character * times + end) == string(digest)


@pytest.mark.parametrize(
    ("type", "typmod"), [(VARCHAR, 14), (base("bpchar", 1042), 14)], ids=["varchar(10)", "char(10)"]
)
def test_a_hash_is_cut_to_the_declared_length(type: PgType, typmod: int) -> None:
    assert written("column.mask.hash.v2.SHA-256.with.salt.s", "hello", type, typmod=typmod) == string("e199871663")


def test_a_domain_has_the_length_of_its_type() -> None:
    assert written("column.mask.hash.v2.SHA-256.with.salt.s", "hello", CODE) == string("e1998")


@pytest.mark.parametrize(
    ("length", "text", "left"),
    [(3, "größe", "grö"), (5, "größe", "größe"), (0, "x", ""), (9, "x", "x"), (3, "a😀b", "a😀"), (2, "a😀b", "a")],
)
def test_a_cut_counts_as_java_does(length: int, text: str, left: str) -> None:
    """In UTF-16 units; where Java would leave half a character, which is no text, we leave none."""
    assert written(f"column.truncate.to.{length}.chars", text) == string(left)


def test_what_is_cut() -> None:
    """All that is a string, and bytea."""
    key = "column.truncate.to.2.chars"
    assert written(key, r"\x010203", base("bytea", 17)) == b"\x04\x01\x02"
    assert written(key, "010203", base("bytea", 17)) == b"\x04\x01\x02"
    assert written(key, r"\x010203", base("bytea", 17), modes=Modes(binaries="hex")) == string("01")
    assert written(key, "{}  ", base("json", 114)) == string("{}")
    assert written(key, "sad", MOOD) == string("sa")
    assert mask(key, INT4) is None
    assert mask(key, base("bool", 16)) is None


def test_a_mask_stands_for_null_too() -> None:
    """A hash and a cut leave null as it is."""
    found = mask("column.mask.with.3.chars")
    assert found is not None
    assert found.null == b"\x02" + string("***")
    assert written("column.mask.with.3.chars", "secret") == written("column.mask.with.3.chars", "") == string("***")
    for key in ("column.mask.hash.MD5.with.salt.x", "column.truncate.to.1.chars"):
        other = mask(key)
        assert other is not None
        assert other.null is None


@pytest.mark.parametrize(
    ("type", "applies"),
    [
        (TEXT, True), (VARCHAR, True), (base("bpchar"), True), (base("name"), True), (base("char"), True),
        (base("citext", 5, "public"), True), (CODE, True), (MOOD, True), (INT4, False), (base("json"), False),
        (base("uuid"), False), (base("text", 7, "public"), False),
        (PgType(oid=1009, schema="pg_catalog", name="_text", kind="base", category="A", element=TEXT), False),
    ],
)  # fmt: skip
def test_masks_are_for_characters(type: PgType, applies: bool) -> None:
    for key in ("column.mask.with.3.chars", "column.mask.hash.MD5.with.salt.x"):
        assert (mask(key, type) is not None) is applies


def test_the_first_that_names_a_column_counts_and_the_rest_is_told() -> None:
    columns = (
        Column(name="id", attnum=1, type=TEXT, not_null=True),
        Column(name="age", attnum=2, type=INT4),
        Column(name="out", attnum=3, type=INT4, sent=False),
        Column(name="mail", attnum=4, type=TEXT),
    )
    rules = transformations({
        "column.mask.hash.MD5.with.salt.hunter2": ".*", "column.truncate.to.3.chars": r"s\.t\.mail",
        "column.mask.with.3.chars": "t.mail",
    })  # fmt: skip
    told = list(doubts([relation(*columns)], rules, lambda column: column_type(column, Modes())))
    shown = "column.mask.hash.MD5.with.salt.********"
    assert told == [
        f"{shown} names s.t.id, a key column: the records' keys hold it as it is",
        f"{shown} names s.t.age, whose type int4 it does not apply to: its values are sent as they are",
        f"column.truncate.to.3.chars names s.t.mail, and {shown} too: only the first counts",
        "column.mask.with.3.chars names no column of a selected table",
    ]


def test_what_may_not_be_shown_elsewhere() -> None:
    """For dead letters: masked columns, and those that Value leaves out."""
    shape = relation(
        Column(name="id", attnum=1, type=INT4, not_null=True),
        Column(name="mail", attnum=2, type=TEXT),
        Column(name="out", attnum=3, type=TEXT, sent=False),
        Column(name="note", attnum=4, type=TEXT),
    )
    rules = (transformation("column.mask.with.3.chars", r"s\.t\.mail"),)
    plan = table_plan(shape, topic="t", key_id=1, value_id=2, modes=Modes(), rules=rules)
    assert plan.withheld == {"mail", "out"}
