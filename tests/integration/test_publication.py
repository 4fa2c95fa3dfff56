"""Publications on the real server: what is made, what we may not do, what a stream lacks and who tells of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest

from producer.acks import Group
from producer.errors import AccessDenied, PostgresUnavailable, PublicationLost, PublicationUnfit
from producer.lsn import Lsn
from producer.pipeline.tables.published import Published
from producer.settings import load_settings
from producer.sink.memory import MemorySink
from producer.sink.offsets import OffsetsTopic, TableMark
from producer.source import catalog, preflight, slot
from producer.source.publication import doing
from producer.source.publication.found import ROOTS_SINCE, find
from producer.source.publication.steps import again
from producer.source.publication.writers import Writers, believes
from producer.source.wire import Connection, connect
from tests.harness import Source, wait_for

OPTIONS = "'proto_version', '1', 'publication_names'"


class Session:
    """What one session of the producer does with its publication, over and over."""

    def __init__(self, source: Source, connection: Connection, user: str = "postgres") -> None:
        self.source = source
        self.connection = connection
        self.offsets = OffsetsTopic(MemorySink(), "offsets", name="n", server="p", replication_factor=1)
        self.offsets.ensure()
        self.user = user

    def look(self, *settings: str) -> Published:
        """As a session begins; nothing is changed yet."""
        given = load_settings(None, ["topic.prefix=p", f"database.dbname={self.source.name}", *settings], {}).settings
        chosen = catalog.selected(catalog.tables(self.connection), given.wants_table)
        relations = catalog.captured(self.connection, chosen, given)
        server = self.source.server(self.user)
        return Published(
            self.connection, server, given, chosen, relations, slot.find(self.connection, self.source.slot)
        )

    def go(self, *settings: str, later: tuple[str, ...] = (), compares: bool = False) -> Published:
        """Make it, and begin to stream; `later` are the tables that are still to be read, and compared perhaps."""
        loaded = self.offsets.load(1)
        published = self.look(*settings)
        published.make_empty()
        preflight.demand(published.refused())
        published.make(loaded)
        unread = {table.oid for table in catalog.tables(self.connection) if table.name in later}
        published.begin(self.offsets, loaded, unread, compares=compares)
        return published

    def read(self, *tables: str) -> None:
        """The rows of these were copied."""
        for table in tables:
            self.offsets.write_mark(f"public.{table}", TableMark(rows=0, position=Lsn(1), filenode=None), Group())


@pytest.fixture
def session(source: Source) -> Iterator[Session]:
    with connect(source.server()) as connection:
        yield Session(source, connection)


def members(source: Source) -> dict[str, list[str]]:
    """The tables of each publication."""
    found: dict[str, list[str]] = {}
    query = (
        "SELECT p.pubname::text, c.relname::text FROM pg_publication p LEFT JOIN pg_publication_rel r "
        "ON r.prpubid = p.oid LEFT JOIN pg_class c ON c.oid = r.prrelid ORDER BY 1, 2"
    )
    for name, table in source.rows(query):
        found.setdefault(name.removeprefix(f"producer_{source.name}"), []).append(table)
    return found


def refusal(session: Session, *settings: str) -> Any:
    """The first error."""
    return next(iter(session.look(*settings).refused()))


def test_made_and_kept_in_step(source: Source, session: Session) -> None:
    """Quoted names; no one is published so that an UPDATE fails; what appears is added, what is moved is moved."""
    source.execute(
        'CREATE TABLE "T ""1" (id int PRIMARY KEY)', "CREATE TABLE keyless (id int)",
        "CREATE TABLE root (id int PRIMARY KEY) PARTITION BY RANGE (id)",
        "CREATE TABLE leaf PARTITION OF root FOR VALUES FROM (0) TO (10)",
        "CREATE TABLE child () INHERITS (keyless)",
    )  # fmt: skip
    published = session.go("table.exclude.list=public.child")
    name = f"producer_{source.name}"
    assert published.names == [name, f"{name}_inserts"]
    assert members(source) == {"": ['T "1', "root"], "_inserts": ["keyless"]}
    source.execute("INSERT INTO keyless VALUES (1)", "UPDATE keyless SET id = 2", "DELETE FROM keyless")
    source.execute("CREATE TABLE late (id int PRIMARY KEY)", "ALTER TABLE keyless ADD PRIMARY KEY (id)")
    session.go("table.exclude.list=public.child")
    assert members(source) == {"": ['T "1', "keyless", "late", "root"], "_inserts": [None]}
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        source.execute("ALTER TABLE keyless DROP CONSTRAINT keyless_pkey", "UPDATE keyless SET id = 2")
    assert [finding.title for finding in session.look().breaking()] == ["writers of public.keyless"]
    session.go()
    assert members(source)["_inserts"] == ["child", "keyless"]
    source.execute("UPDATE keyless SET id = 2")


def test_modes(source: Source, session: Session) -> None:
    """`disabled` makes nothing; `no_tables` an empty one; `all_tables` only where no writer is harmed."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE keyless (id int)")
    only = "table.include.list=public.t"
    error = refusal(session, "publication.autocreate.mode=disabled", only)
    assert isinstance(error, PublicationUnfit)
    error = refusal(session, "publication.autocreate.mode=all_tables", only)
    assert 'ALTER TABLE "public"."keyless" REPLICA IDENTITY FULL;' in error.remedy
    assert members(source) == {}
    with pytest.raises(PublicationUnfit, match=r"does not publish public\.t") as caught:
        session.go("publication.autocreate.mode=no_tables", only)
    assert members(source) == {"": [None]}
    source.execute(caught.value.remedy.partition("  or")[0])
    session.go("publication.autocreate.mode=disabled", only)
    source.execute(f"DROP PUBLICATION producer_{source.name}", "DROP TABLE keyless")
    session.go("publication.autocreate.mode=all_tables")
    assert source.rows("SELECT puballtables FROM pg_publication") == [(True,)]


def test_what_a_user_made(source: Source, session: Session) -> None:
    """Rows, columns and operations that are left out, and roots' names, are seen where the server knows them."""
    name = f'"producer_{source.name}"'
    source.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v int)", "CREATE TABLE r (id int PRIMARY KEY) PARTITION BY RANGE (id)",
        f"CREATE PUBLICATION {name} FOR TABLE t, r WITH (publish = 'insert, update')",
    )  # fmt: skip
    assert "does not publish delete, truncate" in refusal(session).message
    source.execute(refusal(session).remedy.partition(";")[0])
    source.execute(f"ALTER PUBLICATION {name} SET (publish_via_partition_root = true)")
    assert "publish_via_partition_root" in refusal(session).message
    source.execute(refusal(session).remedy.partition(";")[0])
    if source.major() >= 15:
        for narrow in ("t (id), r", "t WHERE (id > 1), r"):
            source.execute(f"ALTER PUBLICATION {name} SET TABLE {narrow}")
            assert "what it leaves out would be missing" in refusal(session).message
        source.execute(*refusal(session).remedy.partition("  (")[0].removeprefix("BEGIN; ").split("; ")[:2])
        assert list(session.look().refused()) == []
        source.execute(f"DROP PUBLICATION {name}", f"CREATE PUBLICATION {name} FOR TABLES IN SCHEMA public")
    assert list(session.look("publication.autocreate.mode=disabled").refused()) == []


def test_rights(source: Source) -> None:
    """What is missing is told at once, with SQL that an administrator runs; then no right is needed any more."""
    role = f"role_{source.name}"
    source.execute("CREATE TABLE t (id int PRIMARY KEY)", f"CREATE ROLE {role} LOGIN PASSWORD 'p'")
    try:
        with connect(source.server(role, "p")) as connection:
            session = Session(source, connection, role)
            with pytest.raises(AccessDenied) as caught:
                session.go()
            assert f"may not CREATE in the database {source.name}, and does not own public.t" in caught.value.message
            assert members(source) == {}
            source.execute(*caught.value.remedy.removeprefix("as an administrator: ").removesuffix(";").split("; "))
            session.go()
            source.execute("CREATE TABLE u (id int PRIMARY KEY)")
            assert f"does not own the publication producer_{source.name}" in refusal(session).message
            source.execute(f"ALTER TABLE t OWNER TO {role}", f"ALTER TABLE u OWNER TO {role}")
            source.execute(f"GRANT CREATE ON DATABASE {source.name} TO {role}")
            source.execute(f"ALTER PUBLICATION producer_{source.name} OWNER TO {role}")
            session.go()
            assert members(source)[""] == ["t", "u"]
            error = refusal(session, "publication.name=all", "publication.autocreate.mode=all_tables")
            assert "is no superuser" in error.message
    finally:
        source.execute(f"DROP OWNED BY {role} CASCADE", f"DROP ROLE {role}")


def test_a_publication_behind_the_slot(source: Source, session: Session) -> None:
    """What the slot holds cannot be read by it: refused before it is made, unless the slot is to be made anew."""
    source.execute(
        "CREATE TABLE t (id int PRIMARY KEY)", f"SELECT pg_create_logical_replication_slot('{source.slot}', 'pgoutput')"
    )
    with pytest.raises(PublicationLost):
        session.go()
    assert members(source) == {}
    published = session.go("snapshot.mode=when_needed")
    assert published.lost is not None
    assert members(source) == {"": ["t"], "_inserts": [None]}


@pytest.mark.parametrize("there", [False, True], ids=["made", "a table added"])
def test_another_connector_does_the_same_at_this_moment(there: bool, source: Source, session: Session) -> None:
    """Contract 3: two may share a publication, and start together. A temporary fault: then there is nothing to do."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY)")
    name = f"producer_{source.name}"
    if there:
        source.execute(f"CREATE PUBLICATION {name}", f"CREATE PUBLICATION {name}_inserts")
    ours = session.look()
    with ThreadPoolExecutor(1) as pool, source.connect() as other:
        other.execute("BEGIN")
        if not there:
            other.execute(f"CREATE PUBLICATION {name}")
        other.execute(f"ALTER PUBLICATION {name} ADD TABLE t")
        made = pool.submit(ours.make, session.offsets.load(1))
        waits = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        wait_for(lambda: source.rows(waits), what="it waits for the other")
        other.execute("COMMIT")
        with pytest.raises(PostgresUnavailable, match="could not be altered"):
            made.result()
    session.look().make(session.offsets.load(1))
    assert members(source)[""] == ["t"]


def test_a_table_that_was_out_for_a_while(source: Source, session: Session) -> None:
    """Whoever took it out, while we ran or not: what it missed is remembered until it is taken care of."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE u (id int PRIMARY KEY)")
    assert session.go().returned == []
    session.read("t", "u")
    running = session.go()
    assert not running.changed(session.connection)
    source.execute("CREATE TABLE other (id int PRIMARY KEY)", "DROP TABLE other")
    assert not running.changed(session.connection)
    name = f"producer_{source.name}"
    source.execute(f"ALTER PUBLICATION {name} DROP TABLE t", f"ALTER PUBLICATION {name} ADD TABLE t")
    assert running.changed(session.connection)
    for _ in range(2):
        again = session.go()
        assert [table.name for table in again.returned] == ["t"]
    again.settled(again.returned[0])
    assert session.go().returned == []
    # Still to be read: the topic may hold what was streamed before, and is gone since.
    source.execute(f"ALTER PUBLICATION {name} DROP TABLE t")
    unread = session.go(later=("t",))
    assert [unread.is_forgiven(table) for table in unread.returned] == [True]
    assert session.go(later=("t",), compares=True).returned == []
    # Out of the selection and back.
    session.go("table.include.list=public.u")
    assert members(source)[""] == ["u"]
    assert [table.name for table in session.go().returned] == ["t"]
    source.execute(f"DROP PUBLICATION {name}, {name}_inserts")
    source.publish()
    assert [table.name for table in session.go().returned] == ["t", "u"]


def test_put_in_again_for_an_old_server(source: Source, session: Session) -> None:
    """Neither a change that the watch sees, nor one that was missed."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE keyless (id int)")
    session.go()
    session.read("t", "keyless")
    running = session.go()
    query = "SELECT array_agg(oid ORDER BY prrelid) FROM pg_publication_rel"
    before = source.rows(query)
    running._touch({table.oid for table in catalog.tables(session.connection)})
    assert source.rows(query) != before
    assert members(source) == {"": ["t"], "_inserts": ["keyless"]}
    assert not running.changed(session.connection)
    assert session.go().returned == []


def test_an_identity_that_comes_and_goes(source: Source, session: Session) -> None:
    """Gained: what was lost is to be compared. Lost: its writers' statements failed until it was moved."""
    source.execute("CREATE TABLE t (id int NOT NULL)")
    session.go()
    session.read("t")
    running = session.go()
    source.execute("ALTER TABLE t ADD PRIMARY KEY (id)")
    assert running.changed(session.connection)
    moved = session.go()
    assert [moved.is_forgiven(table) for table in moved.returned] == [True]
    moved.settled(moved.returned[0])
    source.execute("ALTER TABLE t DROP CONSTRAINT t_pkey")
    assert moved.changed(session.connection)
    assert session.go().returned == []
    assert session.go().returned == []


def test_what_others_read_is_not_taken_out(source: Source, session: Session) -> None:
    """Another slot of this database may be a second connector's, with the same publication."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE u (id int PRIMARY KEY)")
    session.go()
    source.execute(f"SELECT pg_create_logical_replication_slot('{source.slot}_2', 'pgoutput')")
    session.go("table.include.list=public.u")
    assert members(source)[""] == ["t", "u"]


def test_a_dropped_table_is_no_change(source: Source, session: Session) -> None:
    """The stream goes on without it."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE u (id int PRIMARY KEY)")
    running = session.go()
    source.execute("DROP TABLE u")
    assert not running.changed(session.connection)
    source.execute(f"ALTER PUBLICATION producer_{source.name} SET (publish = 'insert')")
    assert running.changed(session.connection)


def test_a_server_that_goes_on_without_a_publication(source: Source, session: Session) -> None:
    """PostgreSQL 18 only warns, in its own language."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY)")
    running = session.go()
    running.notice("01000", "something else")
    running.demand()
    running.notice("55000", "Laden der Publikation »p« wurde übersprungen")
    with pytest.raises(PublicationLost):
        running.demand()


@pytest.mark.matrix
@pytest.mark.parametrize("touches", [False, True])
def test_a_writer_across_the_alteration(touches: bool, source: Source, session: Session) -> None:
    """What it did before is in no stream, though it commits behind: a snapshot taken once it has ended shows it.

    A partition that is written to counts for its root, where that can be published; who writes elsewhere is not waited
    for.
    """
    name, leaf = f'"producer_{source.name}"', "leaf"
    made: tuple[str, ...] = (
        "CREATE TABLE t (id int PRIMARY KEY) PARTITION BY RANGE (id)",
        "CREATE TABLE leaf PARTITION OF t FOR VALUES FROM (0) TO (100000)",
    )
    if session.connection.info.server_version < ROOTS_SINCE:
        made, leaf = ("CREATE TABLE t (id int PRIMARY KEY)",), "t"
    source.execute(
        *made, "CREATE TABLE other (id int PRIMARY KEY)", f"CREATE PUBLICATION {name} FOR TABLE other",
        f"SELECT pg_create_logical_replication_slot('{source.slot}', 'pgoutput')",
    )  # fmt: skip
    connection = session.connection
    # Where the server needs it, always.
    touches |= believes(connection.info.server_version)

    (root,) = [table for table in catalog.tables(connection) if table.name == "t"]
    asked: list[set[int]] = []

    def touch(tables: Collection[int]) -> None:
        asked.append(set(tables))
        doing.do(connection, source.server(), again(find(connection, [name.strip('"')]).values(), [root]))

    with ExitStack() as stack:
        writer, elsewhere = (stack.enter_context(source.connect()) for _ in range(2))
        elsewhere.execute("BEGIN")
        elsewhere.execute("INSERT INTO other VALUES (1)")
        writer.execute("BEGIN")
        writer.execute(f"INSERT INTO {leaf} VALUES (11111)".encode())
        source.execute(f"ALTER PUBLICATION {name} ADD TABLE t")
        waiting = Writers(touch if touches else None)
        assert not waiting.gone(connection, root.oid)
        writer.execute(f"INSERT INTO {leaf} VALUES (22222)".encode())
        assert not waiting.gone(connection, root.oid)
        writer.execute("COMMIT")
        source.execute("INSERT INTO t VALUES (33333)")
        wait_for(lambda: waiting.gone(connection, root.oid), what="the writer has ended")
        shown = {row[0] for row in source.rows("SELECT id FROM t")}
        source.execute("INSERT INTO t VALUES (44444)")
        elsewhere.execute("COMMIT")
    query = f"SELECT data FROM pg_logical_slot_get_binary_changes('{source.slot}', NULL, NULL, {OPTIONS}, '{name}')"
    messages = b"".join(row[0] for row in source.rows(query) if row[0][:1] == b"I")
    streamed = {number for number in (11111, 22222, 33333, 44444) if str(number).encode() in messages}
    # The gap is real.
    assert 11111 not in streamed
    assert 44444 in streamed
    assert shown | streamed == {11111, 22222, 33333, 44444}
    assert asked == ([{root.oid}] if touches else [])
