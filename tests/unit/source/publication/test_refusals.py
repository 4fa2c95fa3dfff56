"""What the publications cannot give is refused before anything is made, with the statement that mends it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from producer.errors import ProducerError
from producer.source.publication.found import Member, Names, Publication
from producer.source.publication.refusals import exposed, refused
from producer.source.publication.steps import Mode, Step, Steps, Wanted, steps
from tests.publications import bare, publication, table, wanted

NAMES = Names.of("p")
EVERY = frozenset("cudt")


def _refused(
    *found: Publication,
    mode: Mode = "filtered",
    tables: Sequence[Wanted] = (wanted(1),),
    leaves: dict[int, tuple[str, str]] | None = None,
    skipped: str = "",
    version: int = 150000,
    new_slot: bool = True,
) -> list[ProducerError]:
    there = {one.name: one for one in found}
    planned = steps(there, NAMES, mode, tables, new_slot=new_slot)
    return list(refused(there, NAMES, mode, tables, leaves or {}, frozenset(skipped), planned, version))


def test_nothing_is_said_of_what_will_be_right() -> None:
    """Neither of what is made nor of what is there."""
    assert _refused() == []
    assert _refused(mode="all_tables") == []
    assert _refused(publication("p", 1), mode="disabled") == []
    assert _refused(publication("p"), publication("p_inserts", 1), mode="disabled", tables=[bare(1)]) == []


def test_disabled_and_not_there() -> None:
    """The SQL makes it, and no UPDATE or DELETE of those who write its tables fails for that."""
    part = Wanted(table(3, partitioned=True), (("public", "leaf"),), whole=True)
    (error,) = _refused(mode="disabled", tables=[wanted(1), bare(2), part])
    assert error.remedy == (
        'CREATE PUBLICATION "p"; '
        "CREATE PUBLICATION \"p_inserts\" WITH (publish = 'insert, truncate'); "
        'ALTER PUBLICATION "p" ADD TABLE ONLY "public"."t1"; '
        'ALTER PUBLICATION "p_inserts" ADD TABLE ONLY "public"."t2";'
    )


@pytest.mark.parametrize("mode", ["disabled", "no_tables", "all_tables"])
def test_a_selected_table_that_is_not_in_it(mode: Mode) -> None:
    """It would be copied, and never streamed."""
    (error,) = _refused(publication("p", 1), mode=mode, tables=[wanted(1), wanted(2)])
    assert "does not publish public.t2" in error.message
    assert 'ALTER PUBLICATION "p" ADD TABLE ONLY "public"."t2";' in error.remedy


def test_a_root_with_a_bare_partition_is_not_put_in() -> None:
    """Its identity first: the ALTER PUBLICATION alone would have writers' UPDATEs fail."""
    part = Wanted(table(3, partitioned=True), (("public", "leaf"),), whole=True)
    (error,) = _refused(publication("p", 1), mode="disabled", tables=[wanted(1), part])
    assert "ALTER PUBLICATION" not in error.remedy
    assert 'ALTER TABLE "public"."leaf" REPLICA IDENTITY FULL;' in error.remedy


def test_no_tables_says_how_to_add_them() -> None:
    """Also before it is made, as `check` looks."""
    (error,) = _refused(mode="no_tables")
    assert error.remedy.startswith('CREATE PUBLICATION "p"; ALTER PUBLICATION "p" ADD TABLE ONLY "public"."t1";')


@pytest.mark.parametrize("member", [Member(7, filtered=True), Member(7, listed=True)])
def test_rows_or_columns_are_left_out(member: Member) -> None:
    """Of a selected table, or of a partition of one."""
    for oid, leaves in ((1, {}), (9, {9: ("public", "leaf")})):
        found = publication("p", members={1: Member(6), oid: member})
        (error,) = _refused(found, leaves=leaves)
        assert ("a row filter" in error.message) == member.filtered
        assert ("a column list" in error.message) == member.listed
        assert 'DROP TABLE ONLY "public"."t1"' in error.remedy or 'DROP TABLE ONLY "public"."leaf"' in error.remedy


def test_operations() -> None:
    """All of them, unless they are skipped."""
    found = publication("p", 1, operations=frozenset("cu"))
    (error,) = _refused(found)
    assert "does not publish delete, truncate" in error.message
    assert "SET (publish = 'insert, update, delete, truncate')" in error.remedy
    assert _refused(found, skipped="dt") == []


def test_rows_under_their_roots_names() -> None:
    """A TRUNCATE of one partition would not be told."""
    root = wanted(1, partitioned=True)
    assert _refused(publication("p", 1, via_root=True)) == []
    (error,) = _refused(publication("p", 1, via_root=True), tables=[root])
    assert "publish_via_partition_root = false" in error.remedy


def test_partitioned_tables_of_old_servers() -> None:
    """They cannot be named before PostgreSQL 13, but all tables can be published."""
    root = wanted(1, partitioned=True)
    (error,) = _refused(tables=[root], version=120000)
    assert "PostgreSQL 12 cannot publish a partitioned table" in error.message
    assert "all_tables" in error.remedy
    assert _refused(tables=[root], mode="all_tables", version=120000) == []
    for mode in ("disabled", "no_tables"):
        (error,) = _refused(tables=[wanted(2), root], mode=mode, version=120000)
        assert "TABLE ONLY" not in error.remedy, "the server refuses to add it"
        assert "all_tables" in error.remedy
    (error,) = _refused(publication("p"), tables=[root], mode="disabled", version=120000)
    assert "all_tables" not in error.remedy, "with that mode, one that is there is used as it is"
    (error,) = _refused(tables=[root], version=110000)
    assert "all_tables" not in error.remedy, "they are not captured there at all"
    assert _refused(publication("p", all_tables=True), tables=[root], version=120000) == []


def test_what_would_break_writers_is_not_published() -> None:
    """A partition without identity under a root that is to be published; a bare table with no place for it."""
    part = Wanted(table(1, partitioned=True), (("public", "leaf"),), whole=True)
    (error,) = _refused(tables=[part])
    assert 'ALTER TABLE "public"."leaf" REPLICA IDENTITY FULL;' in error.remedy
    # It is published already: said, not refused.
    assert _refused(publication("p", 1), tables=[part]) == []
    (error,) = _refused(publication("p"), tables=[bare(1)], new_slot=False)
    assert "every UPDATE and DELETE of theirs would fail" in error.message


def test_all_tables_while_one_has_no_identity() -> None:
    """Selected or not."""
    planned = Steps(((Step("create all", "p"),),))
    (error,) = exposed([("s", f"t{n}") for n in range(7)], planned)
    assert "s.t4 and 2 more" in error.message
    assert list(exposed([], planned)) == []
    assert list(exposed([("s", "t")], Steps())) == []
