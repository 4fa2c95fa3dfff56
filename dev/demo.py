"""`make demo`: a small shop database with a writer, the producer, and its events live.

Room: dev (IO). Ctrl-C ends everything and leaves nothing behind.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

import psycopg

from dev.shell import StackError, say
from dev.stack import Stack

_SCHEMA = """
CREATE TABLE customers (id bigserial PRIMARY KEY, name text NOT NULL, email text, since date NOT NULL DEFAULT now());
CREATE TABLE products (sku text PRIMARY KEY, title text NOT NULL, price numeric(10,2) NOT NULL, tags text[]);
CREATE TABLE orders (
    id bigserial PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers, sku text NOT NULL REFERENCES products,
    quantity int NOT NULL, total numeric(12,2) NOT NULL, placed_at timestamptz NOT NULL DEFAULT now(), details jsonb);
INSERT INTO customers (name, email)
  SELECT 'customer ' || i, 'c' || i || '@shop.example' FROM generate_series(1, 20000) i;
INSERT INTO products SELECT 'sku-' || i, 'product ' || i, (i % 500) + 0.99, ARRAY['tag' || i % 7, 'new']
  FROM generate_series(1, 2000) i;
INSERT INTO orders (customer_id, sku, quantity, total, details)
  SELECT 1 + i % 20000, 'sku-' || 1 + i % 2000, 1 + i % 5, i % 900 + 0.5, jsonb_build_object('gift', i % 3 = 0)
  FROM generate_series(1, 100000) i;
ANALYZE;
"""


def main(argv: list[str] | None = None) -> int:
    """Run the demo until Ctrl-C, or for --seconds."""
    parser = argparse.ArgumentParser(prog="python -m dev.demo", description=__doc__)
    parser.add_argument("--seconds", type=float, help="end by itself so long after the first event")
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    base = Stack.load()
    stack = Stack(base.folder.parent / "demo", base.cache)
    try:
        _show(stack, arguments.seconds)
    except KeyboardInterrupt:
        say("\nending the demo")
    except StackError as error:
        say(f"error: {error}")
        return 1
    finally:
        stack.wipe()
    return 0


def _show(stack: Stack, seconds: float | None) -> None:
    say("1. starting PostgreSQL, Kafka and the schema registry (the first time they are fetched: a minute or two)")
    stack.wipe()
    stack.start()
    say("2. making a shop: 20,000 customers, 2,000 products, 100,000 orders, and a writer that goes on")
    with psycopg.connect(stack.postgres_dsn(), autocommit=True) as admin:
        admin.execute("CREATE DATABASE shop")
    with psycopg.connect(stack.postgres_dsn("shop")) as connection:
        connection.execute(_SCHEMA)
    ended = threading.Event()
    writer = threading.Thread(target=_write, args=(stack.postgres_dsn("shop"), ended), daemon=True)
    environment = {**os.environ, **stack.environment("shop"), "PRODUCER_TOPIC_PREFIX": "shop"}
    command = [sys.executable, "-m", "producer"]
    say("3. pg-producer run: the snapshot first, then the stream")
    producer = subprocess.Popen([*command, "run"], env=environment)
    writer.start()
    tail: subprocess.Popen[str] | None = None
    try:
        _await_snapshot(command, environment, producer)
        say("4. pg-producer tail: every committed change, decoded from Avro (Ctrl-C ends everything)")
        tail = subprocess.Popen([*command, "tail", "--from-end"], env=environment, stdout=subprocess.PIPE, text=True)
        _print(tail, seconds)
    finally:
        ended.set()
        for process in (tail, producer):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(20)
        writer.join(5)


def _await_snapshot(command: list[str], environment: dict[str, str], producer: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if producer.poll() is not None:
            raise StackError(f"the producer ended with {producer.returncode}: its last lines say why")
        shown = subprocess.run(
            [*command, "status", "--json"], env=environment, capture_output=True, text=True, check=False
        )
        if shown.returncode == 0 and json.loads(shown.stdout)["snapshot"]["state"] == "completed":
            return
    raise StackError("the snapshot did not end in time")


def _print(tail: subprocess.Popen[str], seconds: float | None) -> None:
    """One short line for each event."""
    timer: threading.Timer | None = None
    assert tail.stdout is not None
    for line in tail.stdout:
        if seconds and timer is None:
            # From the first one on: a busy machine takes seconds to begin.
            timer = threading.Timer(seconds, tail.terminate)
            timer.start()
        record = json.loads(line)
        value = record["value"]
        if value is None:
            print(f"{record['topic']:24} tombstone {json.dumps(record['key'])}", flush=True)
            continue
        row = value["after"] or value["before"]
        where = f"{value['source']['commit_lsn']}:{value['source']['ordinal']}"
        print(f"{record['topic']:24} {value['op']} {where:14} {json.dumps(row, ensure_ascii=False)}", flush=True)


def _write(dsn: str, ended: threading.Event) -> None:
    """A shop's day: mostly orders, some corrections, a deletion now and then."""
    chance = random.Random(7)
    with psycopg.connect(dsn, autocommit=True) as connection:
        while not ended.wait(chance.uniform(0.05, 0.3)):
            what = chance.random()
            if what < 0.6:
                connection.execute(
                    "INSERT INTO orders (customer_id, sku, quantity, total, details) VALUES (%s, %s, 1, %s, %s)",
                    (
                        chance.randint(1, 20000),
                        f"sku-{chance.randint(1, 2000)}",
                        chance.randint(1, 90000) / 100,
                        json.dumps({"gift": chance.random() < 0.2}),
                    ),
                )
            elif what < 0.8:
                connection.execute(
                    "UPDATE products SET price = price + 1 WHERE sku = %s", (f"sku-{chance.randint(1, 2000)}",)
                )
            elif what < 0.95:
                connection.execute(
                    "UPDATE customers SET email = email || '.org' WHERE id = %s", (chance.randint(1, 20000),)
                )
            else:
                connection.execute("DELETE FROM orders WHERE id = (SELECT max(id) FROM orders)")


if __name__ == "__main__":
    sys.exit(main())
