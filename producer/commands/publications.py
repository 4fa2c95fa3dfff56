"""The publications in the SQL that `grants` prints.

Room: commands (pure: nothing is asked). docs/publications.md; PostgreSQL manual, "CREATE PUBLICATION".
"""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql

from producer.settings import Settings
from producer.source.publication.found import BARE, HAS_IDENTITY, ROOTS_SINCE, Names

# A partitioned table is judged by its partitions: whether none of them, or not all, have an identity.
_SCRIPT = """
DO $publication$
DECLARE
    t record;
    version int := current_setting('server_version_num')::int;
    more text := CASE WHEN version >= 110000 THEN ', truncate' ELSE '' END;
    options text := CASE WHEN version >= 180000 THEN ', publish_generated_columns = stored' ELSE '' END;
    chosen text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname::text = {main}) THEN{harmless}
        EXECUTE format('CREATE PUBLICATION %I {whole} WITH (publish = ''insert, update, delete%s''%s)',
                       {main}, more, options);
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname::text = {inserts})
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_replication_slots WHERE slot_name = {slot}) THEN
        EXECUTE format('CREATE PUBLICATION %I WITH (publish = ''insert%s''%s)', {inserts}, more, options);
    END IF;
    FOR t IN
        WITH RECURSIVE parts (root, relid) AS (
            SELECT c.oid, c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND NOT c.relispartition
               AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
               AND {tables}
            UNION ALL
            SELECT p.root, i.inhrelid FROM parts p JOIN pg_catalog.pg_inherits i ON i.inhparent = p.relid
              JOIN pg_catalog.pg_class c ON c.oid = p.relid AND c.relkind = 'p'
        ), judged AS (
            SELECT p.root, c.relkind = 'r' AS leaf, {identity} AS whole
              FROM parts p JOIN pg_catalog.pg_class c ON c.oid = p.relid
        )
        SELECT n.nspname, c.relname, c.oid, c.relkind = 'p' AND version < {roots} AS unnamed,
               coalesce(bool_or(j.whole) FILTER (WHERE j.leaf), bool_or(j.whole)) AS whole,
               coalesce(bool_and(j.whole) FILTER (WHERE j.leaf), bool_or(j.whole)) AS all_whole
          FROM judged j JOIN pg_catalog.pg_class c ON c.oid = j.root
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         GROUP BY n.nspname, c.relname, c.oid, c.relkind ORDER BY 1, 2
    LOOP
        chosen := CASE WHEN t.whole THEN {main} ELSE {inserts} END;
        IF t.whole <> t.all_whole THEN
            RAISE WARNING '%.%: not published, some of its partitions have no replica identity', t.nspname, t.relname;
        ELSIF EXISTS (SELECT FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid
                       WHERE r.prrelid = t.oid AND p.pubname::text = chosen)
           OR EXISTS (SELECT FROM pg_catalog.pg_publication p WHERE p.puballtables AND p.pubname::text = {main}) THEN
            NULL;
        ELSIF t.unnamed THEN
            RAISE WARNING '%.%: not published, this server publishes no table by its root', t.nspname, t.relname;
        ELSIF NOT EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname::text = chosen) THEN
            RAISE WARNING '%.%: not published, it has no replica identity', t.nspname, t.relname;
        ELSE
            EXECUTE format('ALTER PUBLICATION %I ADD TABLE ONLY %I.%I', chosen, t.nspname, t.relname);
        END IF;
    END LOOP;
END
$publication$;
"""

# A publication of all tables has no place for one whose updates it would break.
_HARMLESS = """
        SELECT string_agg(format('%I.%I', b.schema, b.name), ', ') INTO chosen FROM ({bare}) b;
        IF chosen IS NOT NULL THEN
            RAISE EXCEPTION 'without a replica identity, every UPDATE and DELETE of theirs would fail: %', chosen
                USING HINT = 'ALTER TABLE … REPLICA IDENTITY FULL for each, or publication.autocreate.mode=filtered';
        END IF;"""


def publications(settings: Settings, tables: str) -> Iterator[str]:
    """The lines; `tables` is the filters' condition on a table `c` in a schema `n`."""
    names = Names.of(settings.publication_name)
    yield ""
    yield "-- The publications: before the slot, which is read by none that is younger. A table without a replica"
    yield "-- identity has its inserts alone published, or every UPDATE and DELETE of it would fail. They are yours:"
    yield "-- set publication.autocreate.mode=disabled, and run this again for later tables. The producer can do"
    yield f"-- so itself where {sql.Identifier(settings.database_user).as_string()} owns them and the tables, and may"
    yield "-- CREATE in the database."
    everything = settings.publication_autocreate_mode == "all_tables"
    yield _SCRIPT.format(
        main=sql.Literal(names.main).as_string(),
        inserts=sql.Literal(names.inserts).as_string(),
        slot=sql.Literal(settings.slot_name).as_string(),
        whole="FOR ALL TABLES" if everything else "",
        harmless=_HARMLESS.format(bare=BARE.strip()) if everything else "",
        tables=tables,
        identity=HAS_IDENTITY,
        roots=ROOTS_SINCE,
    ).strip()
