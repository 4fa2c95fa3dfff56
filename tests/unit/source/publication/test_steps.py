"""What is done to the publications: nothing breaks writers, nothing is between two of them."""

from __future__ import annotations

import pytest

from producer.events import Relation
from producer.source.publication.found import Names
from producer.source.publication.steps import Mode, Step, Steps, Wanted, again, leaving, steps, wanted
from tests.publications import bare, publication, table
from tests.publications import wanted as whole

NAMES = Names.of("p")


def _done(planned: Steps) -> list[list[tuple[str, str, list[int]]]]:
    return [
        [(step.verb, step.publication, [t.oid for t in step.tables]) for step in steps]
        for steps in planned.transactions
    ]


def test_the_second_name_fits_the_server() -> None:
    """63 bytes, not characters; and it is another one than the first."""
    assert Names.of("shop") == ("shop", "shop_inserts")
    long = Names.of("ä" * 31)
    assert long.inserts == "ä" * 27 + "_inserts"
    assert len(Names.of("x" * 63).inserts.encode()) == 63


def test_the_first_start_makes_both() -> None:
    """Also where no table needs the second: it cannot be made behind the slot."""
    planned = steps({}, NAMES, "filtered", [whole(1), bare(2)], new_slot=True)
    assert _done(planned) == [
        [("create", "p", []), ("create inserts", "p_inserts", [])],
        [("add", "p", [1])], [("add", "p_inserts", [2])],
    ]  # fmt: skip
    assert _done(steps({}, NAMES, "filtered", [whole(1)], new_slot=True))[0][1][0] == "create inserts"


def test_many_tables_are_added_in_several_transactions() -> None:
    """Each of its tables is locked until a transaction ends."""
    planned = steps({"p": publication("p")}, NAMES, "filtered", [whole(n) for n in range(1001)], new_slot=False)
    assert [len(step.tables) for step in planned] == [500, 500, 1]


def test_what_is_there_is_left_alone() -> None:
    """By name, by schema, or with all tables; nothing is to be done then, so no right is needed."""
    for found in (publication("p", 1), publication("p", all_tables=True), publication("p", schemas={"public": 7})):
        assert _done(steps({"p": found}, NAMES, "filtered", [whole(1)], new_slot=True)) == []


def test_a_table_that_gains_or_loses_its_identity_is_moved_at_once() -> None:
    """In one transaction: an insert of in between would be in neither."""
    found = {"p": publication("p", 1), "p_inserts": publication("p_inserts", 2)}
    planned = steps(found, NAMES, "filtered", [bare(1), whole(2)], new_slot=False)
    assert _done(planned) == [
        [("add", "p", [2]), ("drop", "p_inserts", [2])],
        [("add", "p_inserts", [1]), ("drop", "p", [1])],
    ]


def test_what_another_publishes_stays() -> None:
    """Its writers' statements fail already; we may not alter it."""
    found = {"p": publication("p", 1, owned=False), "p_inserts": publication("p_inserts")}
    assert _done(steps(found, NAMES, "filtered", [bare(1)], new_slot=False)) == []
    everything = {"p": publication("p", all_tables=True)}
    assert _done(steps(everything, NAMES, "filtered", [bare(1)], new_slot=True)) == []


def test_no_second_publication_behind_a_slot() -> None:
    """Decoding what is older would fail; with a slot that is still to be made it is made when it is needed."""
    found = {"p": publication("p", 1)}
    assert _done(steps(found, NAMES, "filtered", [whole(1), bare(2)], new_slot=False)) == []
    assert _done(steps(found, NAMES, "filtered", [whole(1), bare(2)], new_slot=True)) == [
        [("create inserts", "p_inserts", [])], [("add", "p_inserts", [2])],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "made"), [("all_tables", [[("create all", "p", [])]]), ("no_tables", [[("create", "p", [])]]),
                       ("disabled", [])],
)  # fmt: skip
def test_the_other_modes_make_it_or_nothing(mode: Mode, made: list[object]) -> None:
    """And change nothing of one that is there."""
    assert _done(steps({}, NAMES, mode, [whole(1), bare(2)], new_slot=True)) == made
    assert _done(steps({"p": publication("p")}, NAMES, mode, [whole(1), bare(2)], new_slot=True)) == []


def test_leaving_names_only_what_is_a_member() -> None:
    """What a schema, or FOR ALL TABLES, brings in cannot be taken out."""
    assert _done(leaving(publication("p", 1), [table(1), table(2)])) == [[("drop", "p", [1])]]


def test_again_is_one_transaction() -> None:
    """A change of in between would be lost."""
    found = [publication("p", 1, 3), publication("i", 2)]
    assert _done(again(found, [table(1), table(2)])) == [
        [("drop", "p", [1]), ("add", "p", [1])], [("drop", "i", [2]), ("add", "i", [2])],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("step", "version", "statement"),
    [
        (Step("create", "p"), 150000, 'CREATE PUBLICATION "p";'),
        (Step("create", "p"), 180000, 'CREATE PUBLICATION "p" WITH (publish_generated_columns = stored);'),
        (Step("create all", "p"), 150000, 'CREATE PUBLICATION "p" FOR ALL TABLES;'),
        (Step("create inserts", "i"), 150000, "CREATE PUBLICATION \"i\" WITH (publish = 'insert, truncate');"),
        (Step("create inserts", "i"), 100000, "CREATE PUBLICATION \"i\" WITH (publish = 'insert');"),
        (Step("add", 'o"d', (table(1), table(2, schema='S"s'))), 150000,
         'ALTER PUBLICATION "o""d" ADD TABLE ONLY "public"."t1", ONLY "S""s"."t2";'),
        (Step("drop", "p", (table(1),)), 150000, 'ALTER PUBLICATION "p" DROP TABLE ONLY "public"."t1";'),
    ],
)  # fmt: skip
def test_statements(step: Step, version: int, statement: str) -> None:
    """Quoted, and without the tables that inherit from the named ones."""
    assert step.statement(version).as_string() == statement


def _relation(oid: int, *, logged: bool, leaf_of: int | None = None) -> Relation:
    root = leaf_of or oid
    return Relation(
        oid=oid, schema="public", name=f"t{root}", columns=(), key=(), identity="default",
        identity_columns=frozenset("i" if logged else ""), logged_as=("public", f"t{oid}") if leaf_of else None,
    )  # fmt: skip


def test_a_partitioned_table_is_judged_by_its_partitions() -> None:
    """What logs old rows is the partition, whatever the root says; without one the root itself."""
    root = table(1, partitioned=True)

    def judged(*parts: bool) -> Wanted:
        leaves = [_relation(10 + n, logged=logged, leaf_of=1) for n, logged in enumerate(parts)]
        return wanted([root], [_relation(1, logged=True), *leaves])[0]

    assert (judged().bare, judged().whole) == ((), True)
    assert (judged(True, True).bare, judged(True).whole) == ((), True)
    assert (judged(False).bare, judged(False).whole) == ((("public", "t10"),), False)
    assert (judged(True, False).bare, judged(True, False).whole) == ((("public", "t11"),), True)
