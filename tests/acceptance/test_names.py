"""Names that need quoting, escaping, or both: in SQL, in the plugin's filter, in JSON, Avro and Kafka."""

from __future__ import annotations

from typing import Any

import pytest

from tests import harness
from tests.harness import Command, Source

pytestmark = pytest.mark.matrix

ODD = """"Q S.ü"."T.a,b*'""x\\ é\""""
LONG = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789x"


def test_odd_names_of_schemas_tables_columns_and_types(source: Source, command: Command) -> None:
    """Snapshot and stream, topics and fields."""
    source.execute(
        'CREATE SCHEMA "Q S.ü"',
        f'CREATE TABLE {ODD} ("order-id" int, "größe" text, "1st" int, "a""b\\c" text, "_u2d_" int, '
        'PRIMARY KEY ("order-id", "größe"))',
        f"INSERT INTO {ODD} VALUES (1, 'x', 2, 'q\"\\', 3)",
        'CREATE TABLE "select" ("table" int PRIMARY KEY, "from" text)',
        f'CREATE TABLE "{LONG}" (id int PRIMARY KEY)',
        'CREATE TYPE "Q S.ü"."My Enum" AS ENUM (\'a b\', \'"c"\')',
        'CREATE TABLE e (id int PRIMARY KEY, e "Q S.ü"."My Enum", es "Q S.ü"."My Enum"[])',
        # A reserved word as a schema breaks the plugin's JSON where type names are asked for.
        'CREATE SCHEMA "int"',
        "CREATE TYPE \"int\".kind AS ENUM ('a', 'b')",
        'CREATE TYPE "int"."1st of-all" AS ("order-id" int, "größe" "int".kind, "_u2d_" text)',
        'CREATE TABLE made (id int PRIMARY KEY, k "int".kind, c "int"."1st of-all", cs "int"."1st of-all"[])',
    )
    assert command.run("run", "--once").returncode == 0
    source.execute(
        f"UPDATE {ODD} SET \"größe\" = 'neu'",
        "INSERT INTO \"select\" VALUES (1, 'x')",
        f'INSERT INTO "{LONG}" VALUES (1)',
        'INSERT INTO e VALUES (2, \'"c"\', ARRAY[\'a b\', NULL]::"Q S.ü"."My Enum"[])',
        "INSERT INTO made VALUES (1, 'b', ROW(7, 'a', 'x'), ARRAY[ROW(8, NULL, '\"')]::\"int\".\"1st of-all\"[])",
    )
    done = command.run("run", "--once")
    assert done.returncode == 0, done.stderr
    records: list[Any] = list(command.records())
    found: dict[str, list[Any]] = {}
    for record in records:
        found.setdefault(record.topic.removeprefix(command.prefix + "."), []).append(record)
    odd = found["Q_S._.T.a_b___x___"]
    row = {
        "order_u2d_id": 1, "gr_uf6__udf_e": "x", "_u31_st": 2, "a_u22_b_u5c_c": 'q"\\', "_u5f_u2d_": 3,
    }  # fmt: skip
    assert [record.value and record.value["op"] for record in odd] == ["r", "d", None, "c"]
    assert odd[0].value["after"] == row
    assert odd[3].value["after"] == {**row, "gr_uf6__udf_e": "neu"}
    assert odd[3].value["source"]["table"] == "T.a,b*'\"x\\ é"
    assert found["public.select"][0].value["after"] == {"table": 1, "from": "x"}
    assert found[f"public.{LONG}"][0].key == {"id": 1}
    assert found["public.e"][0].value["after"] == {"id": 2, "e": '"c"', "es": ["a b", None]}
    made = found["public.made"][0].value["after"]
    assert made["k"] == "b"
    assert made["c"] == {"order_u2d_id": 7, "gr_uf6__udf_e": "a", "_u5f_u2d_": "x"}
    assert made["cs"] == [{"order_u2d_id": 8, "gr_uf6__udf_e": None, "_u5f_u2d_": '"'}]


def test_inheritance_and_unlogged(source: Source, command: Command) -> None:
    """A child's rows are its own; an unlogged table is not captured."""
    source.execute(
        "CREATE TABLE parent (id int PRIMARY KEY)",
        "CREATE TABLE child (w int, PRIMARY KEY (id)) INHERITS (parent)",
        "INSERT INTO parent VALUES (1)",
        "INSERT INTO child VALUES (2, 3)",
        "CREATE UNLOGGED TABLE u (id int PRIMARY KEY)",
        "INSERT INTO u VALUES (1)",
    )
    assert command.run("run", "--once").returncode == 0
    source.execute("INSERT INTO child VALUES (4, 5)")
    assert command.run("run", "--once").returncode == 0
    records: list[Any] = list(command.records())
    after = {
        table: [r.value["after"] for r in records if r.topic.endswith("." + table)]
        for table in ("parent", "child", "u")
    }
    assert after == {"parent": [{"id": 1}], "child": [{"id": 2, "w": 3}, {"id": 4, "w": 5}], "u": []}


def test_generated_columns(source: Source, command: Command) -> None:
    """As their types; what pgoutput does not tell of before PostgreSQL 18 is left out."""
    if source.major() < 12:
        pytest.skip("stored generated columns came with PostgreSQL 12")
    told = harness.PLUGIN == "wal2json" or source.major() >= 18
    settings: dict[str, object] = {} if told else {"column.exclude.list": "public.g.b"}
    source.execute(
        "CREATE TABLE g (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int, "
        "b int GENERATED ALWAYS AS (a * 2) STORED)",
        "INSERT INTO g (a) VALUES (1)",
    )
    assert command.run("run", "--once", settings=settings).returncode == 0
    source.execute("UPDATE g SET a = 5")
    assert command.run("run", "--once", settings=settings).returncode == 0
    records: list[Any] = list(command.records("public.g"))
    wanted: list[dict[str, int]] = [{"id": 1, "a": a, **({"b": 2 * a} if told else {})} for a in (1, 5)]
    assert [record.value["after"] for record in records] == wanted


# Each with letters of its own: topics know no odd characters.
HOSTILE = [
    "a,b", "c.d", "e f", "g\\h", "tail\\", "\\head", "*", "i*", 'q"t', "p't", " lead",
    "trail ", "tab\tx", "new\nline", "vt\vx", "ff\fx", "cr\rx", "{j}",
    'z"; DROP TABLE "T"; --', "%s", "$1", "T", "t", "é😀" + "ü" * 28 + "z", "x" * 62 + "\\",
]  # fmt: skip


def _quoted(*names: str) -> str:
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def test_every_table_is_found_by_the_plugin(source: Source, command: Command) -> None:
    """The filter that the plugin is given names each of them: nothing less, nothing more."""
    tables = [("public", name) for name in HOSTILE] + [("*", "w"), ("s.,\\", "v"), ("s.,\\", "v.w")]
    assert len(HOSTILE[-1].encode()) == len(HOSTILE[-2].encode()) == 63
    source.execute(
        'CREATE SCHEMA "*"',
        'CREATE SCHEMA "s.,\\"',
        *(f"CREATE TABLE {_quoted(*table)} (id int PRIMARY KEY, n int)" for table in tables),
        "CREATE SCHEMA hidden",
        "CREATE TABLE hidden.w (id int PRIMARY KEY, n int)",
        "CREATE TABLE public.hidden (id int PRIMARY KEY, n int)",
        *(f"INSERT INTO {_quoted(*table)} VALUES (1, 0)" for table in tables),
    )
    settings: dict[str, object] = {"schema.exclude.list": "HID.*", "table.exclude.list": r"public\.hidden"}
    assert command.run("run", "--once", settings=settings).returncode == 0
    source.execute(
        *(f"UPDATE {_quoted(*table)} SET n = 1" for table in tables),
        "INSERT INTO hidden.w VALUES (1, 1)",
        "INSERT INTO public.hidden VALUES (1, 1)",
        *(f"DELETE FROM {_quoted(*table)}" for table in tables),
    )
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == 0, done.stderr
    found: dict[Any, list[str]] = {}
    records: list[Any] = command.records()
    for record in records:
        if record.value:
            named = record.value["source"]
            found.setdefault((named["schema"], named["table"]), []).append(record.value["op"])
    assert found == {table: ["r", "u", "d"] for table in tables}


def test_every_column_is_found_and_filtered(source: Source, command: Command) -> None:
    """As columns, as keys, in expressions of filters and masks."""
    columns = ", ".join(f"{_quoted(name)} text" for name in HOSTILE)
    values = ", ".join(f"'v{number}'" for number in range(len(HOSTILE)))
    source.execute(
        f"CREATE TABLE t ({columns}, PRIMARY KEY ({_quoted('a,b')}, {_quoted('tail' + chr(92))}))",
        f"INSERT INTO t VALUES ({values})",
    )
    settings: dict[str, object] = {
        "column.exclude.list": r"public\.t\.c\.d,public\.t\.a\,b,public\.t\.\*",
        "column.mask.with.1.chars": r"public\.t\.[pq].t,public\.t\.new\nline",
    }
    assert command.run("run", "--once", settings=settings).returncode == 0
    source.execute(f"UPDATE t SET {_quoted('t')} = 'new'")
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == 0, done.stderr
    copied, updated = command.records("public.t")
    assert copied.key == updated.key == {"a_u2c_b": "v0", "tail_u5c_": "v4"}
    copies: Any = copied.value
    after = copies["after"]
    assert len(after) == len(HOSTILE) - 3
    assert {"a_u2c_b", "c_u2e_d", "_u2a_"}.isdisjoint(after)
    assert (after["q_u22_t"], after["p_u27_t"], after["new_ua_line"], after["i_u2a_"]) == ("*", "*", "*", "v7")
    changed: Any = updated.value
    assert changed["after"] == {**after, "t": "new"}
