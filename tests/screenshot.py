"""`make screenshot`: docs/status-page.png, of a shop that is copied, streamed, and has a row that no record can carry.

Room: tests (IO). On the development stack, in a database that is gone afterwards.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from pathlib import Path

import psycopg
from playwright.sync_api import ViewportSize, expect

from dev.shell import say
from dev.stack import Stack
from tests.browser import chromium
from tests.harness import Command, source_of, wait_for
from tests.scrape import PORT_FREE, Scrape

_FILE = Path(__file__).resolve().parents[1] / "docs" / "status-page.png"
_WINDOW: ViewportSize = {"width": 1000, "height": 1030}
# What a plot needs to be one.
_TURNS = 40
_TABLES = (
    "CREATE TABLE customers (id int PRIMARY KEY, name text)",
    "CREATE TABLE orders (id bigserial PRIMARY KEY, customer int, total numeric(12,2), details text)",
    "CREATE TABLE products (sku text PRIMARY KEY, title text, tags text[])",
    "CREATE TABLE visits (page text, at timestamptz)",
    "INSERT INTO customers SELECT i, 'customer ' || i FROM generate_series(1, 20000) i",
    "INSERT INTO orders SELECT i, 1 + i % 20000, i % 900, repeat('d', 80) FROM generate_series(1, 150000) i",
    "INSERT INTO products SELECT 'sku-' || i, 'product ' || i, ARRAY['new'] FROM generate_series(1, 2000) i",
    "ANALYZE",
)
_TURN = (
    "INSERT INTO orders (id, customer, total, details) SELECT i, 1, 9.99, repeat('d', 80) "
    "FROM generate_series({0} * 400, {0} * 400 + 150 + {0} % 7 * 30) i",
    "UPDATE customers SET name = name || '.' WHERE id % 400 = {0} % 400",
    "DELETE FROM orders WHERE id % 40000 = {0}",
    "INSERT INTO visits SELECT '/', now() FROM generate_series(1, 50)",
)
_SETTINGS: dict[str, object] = {
    **PORT_FREE, "errors.tolerance": "all", "slot.max.retained.bytes": 400_000_000, "slot.drop.on.stop": "true",
    "snapshot.chunk.rows": 5000, "database.sslmode": "prefer",
}  # fmt: skip


def main() -> int:
    """Make the picture."""
    stack = Stack.load()
    stack.start()
    with source_of(stack, "shop") as source, tempfile.TemporaryDirectory() as folder, chromium() as browser:
        source.execute(*_TABLES)
        command = Command(stack, source, Path(folder))
        ended = threading.Event()
        writer = threading.Thread(target=_write, args=(stack.postgres_dsn("shop"), ended))
        try:
            running = command.start("run", settings=_SETTINGS)
            scrape = Scrape(running)
            page = browser.new_page(viewport=_WINDOW, color_scheme="light")
            page.goto(scrape.address)
            writer.start()
            say(f"the page is at {scrape.address}: it takes about {2 * _TURNS + 20} s to have something to show")
            expect(page.locator("#phase")).to_contain_text("streaming", timeout=60_000)
            wait_for(lambda: len(scrape.status()["samples"]) > _TURNS, 4 * _TURNS, "samples for the plots")
            source.execute(
                "CREATE TABLE archive AS SELECT * FROM orders", "ALTER TABLE archive ADD PRIMARY KEY (id)", "ANALYZE"
            )
            expect(page.locator("#tables tr", has_text="public.archive").locator("progress")).to_be_visible(
                timeout=60_000
            )
            page.wait_for_timeout(4_000)
            page.screenshot(path=_FILE)
            say(f"{_FILE.name}: {_FILE.stat().st_size:,} bytes")
        finally:
            ended.set()
            if writer.ident is not None:
                writer.join()
            code = running.stop()
            command.end()
    return code


def _write(dsn: str, ended: threading.Event) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        turn = 500
        while not ended.wait(1):
            turn += 1
            for statement in _TURN:
                connection.execute(statement.format(turn).encode())
            if turn == 510:
                connection.execute("INSERT INTO products VALUES ('sku-x', 'a grid', '{{a,b},{c,d}}')")
            if turn == 525:
                connection.execute("INSERT INTO orders SELECT i, 1, 1, 'bulk' FROM generate_series(1000000, 1150000) i")


if __name__ == "__main__":
    sys.exit(main())
