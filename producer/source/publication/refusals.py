"""Why the publications cannot give what we promise: said before anything is made, with the SQL that mends it.

Room: source (IO: PostgreSQL, for our rights). docs/publications.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from psycopg import sql

from producer.errors import AccessDenied, ProducerError, PublicationUnfit, ServerNotReady
from producer.source.catalog import PARTITION_ROOT_SINCE, Table
from producer.source.publication.found import OPERATIONS, ROOTS_SINCE, Names, Publication
from producer.source.publication.steps import Mode, Step, Steps, Wanted, steps
from producer.source.wire import Connection

_MOST_NAMED = 5
_LONGEST_SCRIPT = 1500
_GRANTS = "`pg-producer grants` prints the SQL for an administrator"


def refused(
    found: Mapping[str, Publication],
    names: Names,
    mode: Mode,
    tables: Sequence[Wanted],
    leaves: Mapping[int, tuple[str, str]],
    skipped: frozenset[str],
    planned: Steps,
    version: int,
) -> Iterator[ProducerError]:
    """What is wrong with the publications, and what the planned steps do not mend.

    `leaves` are the partitions' names by OID, `skipped` the operations that are not to be sent.
    """
    main, inserts = found.get(names.main), found.get(names.inserts)
    roots = [one.table for one in tables if one.table.partitioned and not _in(main, one.table)]
    unnamed = version < ROOTS_SINCE and bool(roots) and not (main is None and mode == "all_tables")
    if main is None and mode == "disabled" and not unnamed:
        # As we would make them: a table without identity has its inserts alone published, or its updates would fail.
        harmless = [one for one in tables if not (one.whole and one.bare)]
        made = steps(found, names, "filtered", harmless, new_slot=True)
        yield PublicationUnfit(
            f"there is no publication {names.main}, and publication.autocreate.mode=disabled",
            remedy=_script(made, version),
        )
        return
    for publication, needed in ((main, frozenset(OPERATIONS)), (inserts, frozenset("ct"))):
        if publication is not None:
            yield from _narrow(publication, tables, leaves, needed - skipped)
    if unnamed:
        # One that is there cannot become one of all tables.
        whole = "publication.autocreate.mode=all_tables publishes partitions too, as a superuser; or "
        yield ServerNotReady(
            f"PostgreSQL {version // 10000} cannot publish a partitioned table by its root, as 13 and later can: "
            f"{_named(roots)}",
            remedy=(whole if version >= PARTITION_ROOT_SINCE and main is None else "")
            + "leave the table out with table.exclude.list",
        )
        return
    yield from _uncovered(found, names, mode, tables, planned, version)


def _narrow(
    publication: Publication, tables: Sequence[Wanted], leaves: Mapping[int, tuple[str, str]], needed: frozenset[str]
) -> Iterator[ProducerError]:
    """A publication that leaves out rows, columns or operations."""
    name = sql.Identifier(publication.name).as_string()
    missing = [words for letter, words in OPERATIONS.items() if letter in needed - publication.operations]
    if missing:
        whole = ", ".join(
            words for letter, words in OPERATIONS.items() if letter in publication.operations | needed
        )  # fmt: skip
        yield PublicationUnfit(
            f"the publication {publication.name} does not publish {', '.join(missing)}: what was changed so "
            "far is in no stream",
            remedy=f"ALTER PUBLICATION {name} SET (publish = '{whole}');  then run once with snapshot.mode=always if "
            "the topics hold its tables already; or name what is missing in skipped.operations",
        )
    roots = [one.table for one in tables if one.table.partitioned]
    if publication.via_root and roots:
        yield PublicationUnfit(
            f"the publication {publication.name} has publish_via_partition_root: a TRUNCATE of one partition of "
            f"{_named(roots)} would be in no stream",
            remedy=f"ALTER PUBLICATION {name} SET (publish_via_partition_root = false);  or set publication.name to "
            "one of its own",
        )
    rows = {one.table.oid: (one.table.schema, one.table.name) for one in tables} | dict(leaves)
    for oid, names in rows.items():
        member = publication.members.get(oid)
        if member is None or not (member.filtered or member.listed):
            continue
        what = " and ".join(["a row filter"] * member.filtered + ["a column list"] * member.listed)
        of = sql.Identifier(*names).as_string()
        yield PublicationUnfit(
            f"the publication {publication.name} has {what} for table {'.'.join(names)}: what it leaves out would be "
            "missing in the topic",
            remedy=f"BEGIN; ALTER PUBLICATION {name} DROP TABLE ONLY {of}; "
            f"ALTER PUBLICATION {name} ADD TABLE ONLY {of}; COMMIT;  (columns are left out with column.exclude.list)",
        )


def _uncovered(
    found: Mapping[str, Publication],
    names: Names,
    mode: Mode,
    tables: Sequence[Wanted],
    planned: Steps,
    version: int,
) -> Iterator[ProducerError]:
    """Tables that are not published, or could not be without harm to those who write them."""
    main, inserts = found.get(names.main), found.get(names.inserts)
    added = {(step.publication, table.oid) for step in planned for table in step.tables if step.verb == "add"}
    everything = any(step.verb == "create all" for step in planned)
    harmed: list[Wanted] = []
    left_out: list[Wanted] = []
    bare: list[Wanted] = []
    for one in tables:
        oid = one.table.oid
        if (names.main, oid) in added and one.bare:
            harmed.append(one)
        covered = everything or _in(main, one.table) or (names.main, oid) in added
        if covered or (not one.whole and (_in(inserts, one.table) or (names.inserts, oid) in added)):
            continue
        # A root with a partition that is bare: no statement puts it in before that is mended.
        (bare if not one.whole else harmed if one.bare else left_out).append(one)
    if left_out:
        step = Step("add", names.main, tuple(one.table for one in left_out))
        made = [step for step in planned if step.verb == "create"]
        yield PublicationUnfit(
            f"the publication {names.main} does not publish {_named(one.table for one in left_out)}, and "
            f"publication.autocreate.mode={mode} does not change it",
            remedy=_script(Steps(((*made, step),)), version) + "  or leave them out with table.exclude.list",
        )
    if harmed or bare:
        identities = " ".join(
            f"ALTER TABLE {sql.Identifier(*leaf).as_string()} REPLICA IDENTITY FULL;"
            for one in (*harmed, *bare)
            for leaf in one.bare or ((one.table.schema, one.table.name),)
        )
        why = (
            "some of their partitions have no replica identity"
            if harmed
            else f"they have no replica identity, and no publication {names.inserts} was made before the slot"
        )
        yield PublicationUnfit(
            f"{_named(one.table for one in (*harmed, *bare))} cannot be published, {why}: every UPDATE and DELETE of "
            "theirs would fail",
            remedy=_short(identities) + "  or leave them out with table.exclude.list",
        )


def exposed(bare: Sequence[tuple[str, str]], planned: Steps) -> Iterator[ProducerError]:
    """All tables are about to be published, `bare` ones of any schema among them, which log no old rows."""
    if bare and any(step.verb == "create all" for step in planned):
        identities = " ".join(
            f"ALTER TABLE {sql.Identifier(*table).as_string()} REPLICA IDENTITY FULL;" for table in bare
        )
        yield PublicationUnfit(
            f"publication.autocreate.mode=all_tables would publish {_listed([f'{s}.{n}' for s, n in bare])} too: "
            "without a replica identity, every UPDATE and DELETE of theirs would fail",
            remedy=_short(identities) + "  or set publication.autocreate.mode=filtered",
        )


def rights(
    connection: Connection, found: Mapping[str, Publication], planned: Steps, user: str
) -> Iterator[AccessDenied]:
    """What we may not do of it: nothing of it is done then."""
    tables = {table.oid: table for step in planned if step.verb == "add" for table in step.tables}
    row = connection.execute(
        b"SELECT current_setting('is_superuser') = 'on', has_database_privilege(current_database(), 'CREATE'), "
        b"current_database()::text, array(SELECT c.oid::bigint FROM pg_catalog.pg_class c "
        b"WHERE c.oid = ANY (%s::bigint[]::oid[]) AND NOT pg_has_role(c.relowner, 'USAGE') ORDER BY c.oid)",
        (list(tables),),
    ).fetchone()
    assert row is not None
    superuser, may_create, database, others = row
    lacking = []
    if any(step.verb == "create all" for step in planned) and not superuser:
        lacking.append("is no superuser")
    if any(step.verb.startswith("create") for step in planned) and not may_create:
        lacking.append(f"may not CREATE in the database {database}")
    altered = {step.publication for step in planned if not step.verb.startswith("create")}
    theirs = [name for name in sorted(altered) if name in found and not found[name].owned]
    if theirs:
        lacking.append(f"does not own the publication {' nor '.join(theirs)}")
    if isinstance(others, list) and others:
        lacking.append(f"does not own {_named(tables[oid] for oid in others)}")
    if lacking:
        names = list(dict.fromkeys(step.publication for step in planned))
        yield AccessDenied(
            f"{user} may not make the publication {' and '.join(names)} as the selected tables need it: it "
            f"{', and '.join(lacking)}",
            remedy="as an administrator: " + _script(planned, connection.info.server_version),
        )


def _in(publication: Publication | None, table: Table) -> bool:
    return publication is not None and publication.membership(table) is not None


def _named(tables: Iterable[Table]) -> str:
    return _listed([table.qualified_name for table in tables])


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _script(planned: Steps, version: int) -> str:
    return _short(planned.script(version))


def _short(statements: str) -> str:
    return statements if len(statements) <= _LONGEST_SCRIPT else _GRANTS
