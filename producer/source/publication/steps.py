"""What is to be done to the publications so that they publish the selected tables; what keeps us from it.

Room: source (pure). docs/publications.md. No table is published so that an UPDATE that worked before fails.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from psycopg import sql

from producer.events import Relation
from producer.source.catalog import Table
from producer.source.publication.found import Names, Publication

Mode = Literal["filtered", "all_tables", "no_tables", "disabled"]
Verb = Literal["create", "create all", "create inserts", "add", "drop"]

# The server keeps a lock on each until the transaction ends.
_AT_ONCE = 500
_GENERATED_SINCE = 180000
_TRUNCATE_SINCE = 110000


@dataclass(frozen=True, slots=True)
class Wanted:
    """A selected table, and those of its partitions, or itself, that log no old rows."""

    table: Table
    bare: tuple[tuple[str, str], ...] = ()
    whole: bool = True
    """Not all are like that, or none is: its updates and deletes can be published."""


@dataclass(frozen=True, slots=True)
class Step:
    """One statement."""

    verb: Verb
    publication: str
    tables: tuple[Table, ...] = ()

    def statement(self, version: int) -> sql.Composed:
        """As SQL."""
        name = sql.Identifier(self.publication)
        if self.verb in ("add", "drop"):
            named = sql.SQL(", ").join(
                # ADD of a table by itself would bring those that inherit from it.
                sql.SQL("ONLY {}").format(sql.Identifier(table.schema, table.name))
                for table in self.tables
            )
            return sql.SQL("ALTER PUBLICATION {} {} TABLE {};").format(name, sql.SQL(self.verb.upper()), named)
        whole = sql.SQL(" FOR ALL TABLES" if self.verb == "create all" else "")
        options = []
        if self.verb == "create inserts":
            options.append("publish = 'insert, truncate'" if version >= _TRUNCATE_SINCE else "publish = 'insert'")
        if version >= _GENERATED_SINCE:
            options.append("publish_generated_columns = stored")
        given = sql.SQL(" WITH ({})").format(sql.SQL(", ".join(options))) if options else sql.SQL("")
        return sql.SQL("CREATE PUBLICATION {}{}{};").format(name, whole, given)


@dataclass(frozen=True, slots=True)
class Steps:
    """Statements, in the transactions that they are run in."""

    transactions: tuple[tuple[Step, ...], ...] = ()

    def __iter__(self) -> Iterator[Step]:
        for steps in self.transactions:
            yield from steps

    def script(self, version: int) -> str:
        """The SQL to paste."""
        return " ".join(step.statement(version).as_string() for step in self)


def wanted(chosen: Sequence[Table], relations: Iterable[Relation]) -> list[Wanted]:
    """The selected tables, with what their shapes, those of their partitions among them, say of old rows."""
    parts: defaultdict[tuple[str, str], list[Relation]] = defaultdict(list)
    own = {}
    for relation in relations:
        if relation.logged_as is None:
            own[relation.oid] = relation
        else:
            parts[relation.schema, relation.name].append(relation)
    found = []
    for table in chosen:
        shapes = parts.get((table.schema, table.name)) or [own[table.oid] for _ in range(table.oid in own)]
        bare = tuple(shape.logged_names for shape in shapes if not shape.identity_columns)
        found.append(Wanted(table, bare, whole=len(bare) < len(shapes)))
    return found


def steps(
    found: Mapping[str, Publication],
    names: Names,
    mode: Mode,
    tables: Sequence[Wanted],
    *,
    new_slot: bool,
) -> Steps:
    """What is to be done. `new_slot`: the slot is still to be made; by an older one no new publication is read."""
    main, inserts = found.get(names.main), found.get(names.inserts)
    if mode != "filtered":
        creates: dict[Mode, Verb] = {"all_tables": "create all", "no_tables": "create"}
        return Steps(((Step(creates[mode], names.main),),) if main is None and mode in creates else ())
    into = {name: [w.table for w in tables if _due(w, name, found, names)] for name in names}
    out = {
        names.main: [t for t in into[names.inserts] if main is not None and main.owned and t.oid in main.members],
        names.inserts: [
            t for t in into[names.main] if inserts is not None and inserts.owned and t.oid in inserts.members
        ],
    }
    begun = []
    if main is None:
        begun.append(Step("create", names.main))
    if inserts is None and new_slot and (main is None or into[names.inserts]):
        begun.append(Step("create inserts", names.inserts))
    elif inserts is None:
        into[names.inserts].clear()
    transactions = [tuple(begun)] if begun else []
    for name, other in (names, reversed(names)):
        moving = {table.oid for table in out[other]}
        for some in _batches(into[name]):
            moved = tuple(table for table in some if table.oid in moving)
            # Together, or its inserts of in between would be in neither.
            step = Step("add", name, tuple(some))
            transactions.append((step, Step("drop", other, moved)) if moved else (step,))
    return Steps(tuple(transactions))


def leaving(publication: Publication, tables: Iterable[Table]) -> Steps:
    """Taking these tables out, where the publication names them."""
    named = (table for table in tables if table.oid in publication.members)
    return Steps(tuple((Step("drop", publication.name, tuple(some)),) for some in _batches(named)))


def again(publications: Iterable[Publication], tables: Sequence[Table]) -> Steps:
    """Taking out and putting in, at once, those of these tables that the publications name."""
    return Steps(
        tuple(
            (Step("drop", publication.name, tuple(some)), Step("add", publication.name, tuple(some)))
            for publication in publications
            for some in _batches(table for table in tables if table.oid in publication.members)
        )
    )


def _due(one: Wanted, name: str, found: Mapping[str, Publication], names: Names) -> bool:
    """Whether a table is to be put into the publication of this name."""
    main, inserts = found.get(names.main), found.get(names.inserts)
    in_main = main is not None and main.membership(one.table) is not None
    in_inserts = inserts is not None and inserts.membership(one.table) is not None
    if name == names.main:
        return one.whole and not in_main
    # Out of a publication that is another's, or of all tables, it cannot be taken.
    stays = in_main and not (main is not None and main.owned and one.table.oid in main.members)
    return not one.whole and not in_inserts and not stays


def _batches(tables: Iterable[Table]) -> Iterator[list[Table]]:
    rest = iter(tables)
    while some := list(islice(rest, _AT_ONCE)):
        yield some
