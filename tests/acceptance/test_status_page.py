"""The status page in a real browser: live, in light and dark, on a phone, and when the producer goes and comes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.browser import chromium
from tests.harness import Command, Source, wait_for
from tests.scrape import PORT_FREE, Scrape

PHONE: ViewportSize = {"width": 375, "height": 700}
DESK: ViewportSize = {"width": 1200, "height": 900}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def _ground(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def _width(page: Page, what: str) -> int:
    return int(page.locator(what).evaluate("box => box.clientWidth"))


def _hovered(page: Page, plot: str, out: str) -> str:
    """What is told of the plot's newest sample."""
    for right in (20, 10):
        page.locator(plot).hover(position={"x": _width(page, plot) - right, "y": 50})
    return page.locator(out).inner_text()


def _fits(page: Page) -> bool:
    """Nothing is wider than the window, and the tables' figures are in sight, however long a name is."""
    table = "document.querySelector('#tables').closest('.scroll')"
    return bool(
        page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        and page.evaluate(f"{table}.scrollWidth <= {table}.clientWidth")
    )


def test_the_page_lives(source: Source, command: Command, browser: Browser) -> None:
    """From the snapshot into the stream, through a restart; nothing is asked of anybody else."""
    source.execute(
        f"CREATE TABLE {'long' * 15} (id int PRIMARY KEY)", "CREATE TABLE orders (id int PRIMARY KEY, v text)",
        "CREATE TABLE z (id int PRIMARY KEY, a text[])",
        "INSERT INTO orders SELECT i FROM generate_series(1, 200000) i", "ANALYZE",
    )  # fmt: skip
    # No reader is too fast for the lock that keeps z waiting.
    override = "snapshot.select.statement.overrides"
    held = "SELECT id, v FROM public.orders WHERE (SELECT pg_advisory_xact_lock_shared(1)) IS NOT NULL"
    settings: dict[str, object] = {
        override: "public.orders", f"{override}.public.orders": held,
        **PORT_FREE, "snapshot.max.threads": 1, "snapshot.chunk.rows": 50000, "errors.tolerance": "all",
        "producer.override.sasl.password": "pa55-Ku2",
    }  # fmt: skip
    page = browser.new_page(viewport=DESK, color_scheme="light")
    complaints: list[str] = []
    page.on("console", lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    with source.connect() as holder:
        holder.execute("SELECT pg_advisory_lock(1)")
        running = command.start("run", settings=settings)
        scrape = Scrape(running)
        address = scrape.address
        # Not before: the slot's making would wait for it.
        scrape.wait_for("phase", "snapshot", value=1)
        holder.autocommit = False
        holder.execute("LOCK TABLE z IN ACCESS EXCLUSIVE MODE")
        holder.execute("SELECT pg_advisory_unlock(1)")
        page.goto(address)
        expect(page.locator("#state-word")).to_have_text("RUNNING")
        expect(page.locator("#phase")).to_contain_text("copying the tables", timeout=15_000)
        orders, z = (
            page.locator("#tables tr", has_text="public.orders"),
            page.locator("#tables tr", has_text="public.z"),
        )
        expect(orders).to_contain_text("99 %, 199,999 rows", timeout=15_000)
        expect(orders.locator("progress")).to_have_attribute("value", "199999")
        expect(z).to_contain_text("waits")
        expect(page.locator("#lag")).to_have_text("\N{EN DASH}")
        holder.rollback()
    expect(page.locator("#phase")).to_contain_text("streaming", timeout=15_000)
    expect(orders).to_contain_text("done, 200,000 rows")
    expect(page.locator("#lag")).to_contain_text("ms")

    source.execute(
        "INSERT INTO orders SELECT i FROM generate_series(200001, 201234) i",
        "INSERT INTO z VALUES (1, '{{<img src=x onerror=alert(1)>}}')",
    )
    expect(orders.locator("td").nth(3)).to_have_text("1,234", timeout=15_000)
    assert page.locator("#rate").inner_text() != "0"
    expect(page.locator("#errors")).to_contain_text("ConversionError")
    expect(page.locator("#errors")).to_contain_text("public.z")
    for plot in ("#lag-plot", "#wal-plot"):
        expect(page.locator(f"{plot} polyline").first).to_be_attached()
        page.wait_for_function(f"document.querySelector('{plot} polyline').points.length > 1")
    # The newest sample is of a busy machine's second, perhaps; the next one is not.
    wait_for(lambda: "ms" in _hovered(page, "#lag-plot", "#lag-at"), what="a lag of less than a second")
    page.locator("summary").click()
    expect(page.locator("#settings tr", has_text="sasl.password")).to_contain_text("********")
    assert "pa55" not in page.content()
    assert _fits(page)

    light = _ground(page)
    page.emulate_media(color_scheme="dark")
    assert _ground(page) != light
    page.set_viewport_size(PHONE)
    assert _fits(page)
    page.emulate_media(color_scheme="light")
    assert _ground(page) == light
    assert _fits(page)
    assert not complaints

    assert running.stop() == 0
    banner = page.locator("#banner")
    expect(banner).to_contain_text("was lost", timeout=15_000)
    assert _fits(page)
    port = address.rpartition(":")[2]
    again = command.start("run", settings={**settings, "http.listen": f"127.0.0.1:{port}"})
    again.wait_for("streaming")
    expect(banner).to_be_hidden(timeout=15_000)
    expect(page.locator("#about")).to_contain_text("restarted while you looked")
    expect(page.locator("#no-errors")).to_be_visible()
    source.execute("INSERT INTO orders VALUES (300000)")
    expect(orders.locator("td").nth(3)).to_have_text("1", timeout=15_000)
    assert all(url.startswith((f"{address}/", "data:")) for url in asked), asked
    page.close()
    assert again.stop() == 0
