"""`check` names the columns whose values would not be carried, or not as they are meant."""

from __future__ import annotations

import json
from typing import Any

from producer.source.checks.values import fraction_digits
from tests.harness import Command, Source


def _findings(command: Command, **settings: str) -> dict[str, Any]:
    done = command.run("check", "--json", settings={name.replace("_", "."): value for name, value in settings.items()})
    return {finding["name"]: finding for finding in json.loads(done.stdout)["findings"]}


def test_arrays_of_another_depth_are_named(source: Source, command: Command) -> None:
    """CREATE TABLE AS forgets a depth; a value may disagree in any case; what agrees is not named."""
    source.execute(
        "CREATE DOMAIN deep AS int[][]",
        'CREATE TABLE "T" (id int PRIMARY KEY, good int[][], none int[], v int[], "Lower" text[], d deep, many deep[])',
        """INSERT INTO "T" VALUES (1, '{{1},{2}}', '{}', '{{1}}', '[0:1]={a,b}', '{{1}}', ARRAY['{{1}}'::deep])""",
        "CREATE TABLE made AS SELECT id, good FROM \"T\"",
        "ALTER TABLE made ADD PRIMARY KEY (id)",
    )  # fmt: skip
    found = _findings(command)
    named = {name for name, finding in found.items() if name.startswith("array ")}
    assert named == {"array public.T.v", "array public.T.Lower", "array public.made.good"}
    assert {found[name]["status"] for name in named} == {"warning"}
    assert 'ALTER TABLE "public"."T" ALTER COLUMN "Lower" TYPE' in found["array public.T.Lower"]["remedy"]
    assert found["arrays"]["detail"].startswith("7 array column(s)")

    source.execute("ALTER TABLE made ALTER COLUMN good TYPE int[][]", 'UPDATE "T" SET v = NULL, "Lower" = NULL')
    assert not any(name.startswith("array ") for name in _findings(command)), "the remedy helps"
    source.execute("UPDATE \"T\" SET v = '{{1}}'")
    as_text = _findings(command, array_handling_mode="string")
    assert not any(name.startswith("array") for name in as_text), "text has no depth"


def test_virtual_columns_are_named(source: Source, command: Command) -> None:
    """From PostgreSQL 18 on, where they are the kind that is made when none is named."""
    virtual = int(source.rows("SHOW server_version_num")[0][0]) >= 180000
    kind = "VIRTUAL" if virtual else "STORED"
    source.execute(f"CREATE TABLE t (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) {kind})")
    found = _findings(command)
    assert ("virtual columns" in found) == virtual
    if virtual:
        assert "public.t.twice" in found["virtual columns"]["detail"]


def test_rows_that_may_not_be_read_are_not_looked_at(source: Source, command: Command) -> None:
    """The rights are the finding."""
    source.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v int[])",
        f"CREATE ROLE {source.name} LOGIN REPLICATION PASSWORD 'x'",
        f"GRANT CONNECT ON DATABASE {source.name} TO {source.name}",
    )
    try:
        found = _findings(command, database_user=source.name, database_password="x")
        assert "arrays" not in found
        assert any("may not read" in finding["detail"] for finding in found.values())
    finally:
        source.execute(f"DROP OWNED BY {source.name}", f"DROP ROLE {source.name}")


def test_money_is_looked_at_where_there_is_some(source: Source, command: Command) -> None:
    """In the database's own lc_monetary, not in the producer's."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY)")
    assert "money" not in _findings(command)
    source.execute("CREATE DOMAIN fee AS money", "ALTER TABLE t ADD v fee[]")
    found = _findings(command)["money"]
    assert found["status"] == "ok"
    assert found["detail"].endswith(": 2 fraction digits")


def test_money_of_other_fraction_digits_fails() -> None:
    """As a database under such a locale tells it; no such locale is installed with the stack."""
    yen = fraction_digits("ja_JP.UTF-8", 1, ["public.t.price"])
    assert yen.status == "failed"
    assert "0 fraction digits" in yen.detail
    assert "public.t.price" in yen.detail
    assert fraction_digits("ar_TN.UTF-8", 1000, ["public.t.price"]).status == "failed"
