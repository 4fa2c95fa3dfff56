"""The tables of the workloads, and SQL that fills them."""

from __future__ import annotations

from bench.database import Database

_ORDERS_COLUMNS = """(id bigserial PRIMARY KEY, customer int, status text, quantity int, amount numeric(12,2),
  reference text, note text, created timestamptz DEFAULT now(), updated timestamp DEFAULT now(), tags text[],
  extra jsonb) WITH (autovacuum_enabled = false)"""
ORDER_FIELDS = "customer, status, quantity, amount, reference, note, tags, extra"


def orders(table: str = "orders") -> str:
    """The statement that makes a table of 11 columns; a row is about 250 bytes."""
    return f"CREATE TABLE {table} {_ORDERS_COLUMNS}"


def order(number: str = "i") -> str:
    """The values of an order, by an integer expression."""
    return (
        f"{number}, 'shipped', {number} % 5, {number} / 7.0, 'ref-' || {number}, repeat('x', 70), "
        """ARRAY['red', 'green', 'big blue'], '{"a": 1, "b": "text", "c": [1, 2, 3]}'::jsonb"""
    )


def insert_orders(table: str, rows: int) -> str:
    """The statement that inserts so many orders."""
    return f"INSERT INTO {table} ({ORDER_FIELDS}) SELECT {order()} FROM generate_series(1, {rows}) i"


def load_orders(database: Database, rows: int, each: int = 1000) -> None:
    """So many orders to the database's first table, so many a transaction."""
    table = database.tables[0]
    counts = [min(each, rows - done) for done in range(0, rows, each)]
    database.execute(*(insert_orders(table, count) for count in counts))


def update_orders(database: Database, rows: int, each: int) -> None:
    """So many updates, so many a transaction: rows that stand side by side, round and round the table."""
    table, there = database.tables[0], UPDATED_ROWS // each * each
    database.execute(f"""
        DO $$ BEGIN
          FOR i IN 0..{-(-rows // each) - 1} LOOP
            UPDATE {table} SET quantity = quantity + 1, amount = amount + 1, status = 'returned'
              WHERE id > (i * {each}) % {there} AND id <= (i * {each}) % {there} + least({each}, {rows} - i * {each});
            COMMIT;
          END LOOP;
        END $$""")


UPDATED_ROWS = 10_000
_WIDE = (
    ("int", "i"),
    ("bigint", "i * 1000003::bigint"),
    ("smallint", "i % 30000"),
    ("text", "'text of row ' || i"),
    ("varchar(40)", "md5(i::text)"),
    ("numeric(14,3)", "i / 7.0"),
    ("double precision", "i / 3.0::float8"),
    ("boolean", "i % 2 = 0"),
    ("date", "date '2026-01-01' + i % 1000"),
    ("timestamp", "timestamp '2026-01-01' + i * interval '1 second'"),
    ("timestamptz", "timestamptz '2026-01-01 00:00Z' + i * interval '1 second'"),
    ("uuid", "md5(i::text)::uuid"),
    ("jsonb", """'{"a": 1, "b": "text"}'::jsonb"""),
    ("int[]", "ARRAY[i, i + 1, NULL]"),
    ("bytea", "decode(md5(i::text), 'hex')"),
)
_WIDE_COLUMNS = [_WIDE[number % len(_WIDE)] for number in range(59)]


def wide() -> str:
    """The statement that makes a table of 60 columns, each type four times."""
    columns = ", ".join(f"c{number:02} {kind}" for number, (kind, _) in enumerate(_WIDE_COLUMNS))
    return f"CREATE TABLE wide (id bigserial PRIMARY KEY, {columns}) WITH (autovacuum_enabled = false)"


def load_wide(database: Database, rows: int) -> None:
    """So many rows of 60 columns, 1,000 a transaction."""
    columns = ", ".join(f"c{number:02}" for number in range(len(_WIDE_COLUMNS)))
    values = ", ".join(value for _, value in _WIDE_COLUMNS)
    database.execute(
        *(
            f"INSERT INTO wide ({columns}) SELECT {values} FROM generate_series(1, {min(1000, rows - done)}) i"
            for done in range(0, rows, 1000)
        )
    )


# A value cut from one text at another place each time: nothing to compress, and quick to make.
TOAST = (
    "CREATE TABLE documents (id bigserial PRIMARY KEY, title text, body text) WITH (autovacuum_enabled = false)",
    "ALTER TABLE documents ALTER body SET STORAGE EXTERNAL",
)


def load_documents(database: Database, rows: int) -> None:
    """So many rows with a text of 50 kB, 10 a transaction."""
    database.execute(f"""
        DO $$ DECLARE source text := (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 4000) n);
        BEGIN
          FOR i IN 0..{-(-rows // 10) - 1} LOOP
            INSERT INTO documents (title, body) SELECT 'document ' || n, substr(source, n % 70000 + 1, 50000)
              FROM generate_series(i * 10 + 1, least(i * 10 + 10, {rows})) n;
            COMMIT;
          END LOOP;
        END $$""")


def load_round_robin(database: Database, rows: int) -> None:
    """So many orders, the next one always into the next table; 1,000 a transaction."""
    names = database.tables
    turn = [names[number % len(names)] for number in range(1000)]
    full, rest = divmod(rows, len(turn))
    database.execute(*([_inserts(turn, full)] if full else []), *([_inserts(turn[:rest], 1)] if rest else []))


def _inserts(tables: list[str], times: int) -> str:
    """A block of one statement for each, so that the server plans each once."""
    inserts = ";\n".join(f"INSERT INTO {table} ({ORDER_FIELDS}) VALUES ({order()})" for table in tables)
    return f"DO $$ BEGIN FOR i IN 1..{times} LOOP {inserts}; COMMIT; END LOOP; END $$"
