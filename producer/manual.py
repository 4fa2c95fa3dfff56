"""What stands below each command's `--help`: examples to paste, and its exit codes.

Room: cli (pure). tests/unit/test_docs.py holds the examples to the commands; docs/errors.md has the codes at length.
"""

from __future__ import annotations

_OK = "0  done"
_BUG = "1  a bug in pg-producer"
_USAGE = "2  wrong settings or usage"
_OPERATOR = "3  somebody must act: a right, a password, wal_level, the slot, a schema"
_DATA = "4  data that cannot be carried"
_FAULT = "5  a server that is away, for longer than errors.retry.timeout"

_EXAMPLES = {
    "run": (
        "pg-producer run --config shop.toml",
        "pg-producer run --config shop.toml --once",
        "pg-producer run --config shop.toml --set snapshot.mode=when_needed",
        "pg-producer run --config shop.toml --skip-position 0/1949550:3",
    ),
    "check": ("pg-producer check --config shop.toml", "pg-producer check --config shop.toml --json"),
    "status": ("pg-producer status --config shop.toml", "pg-producer status --config shop.toml --json"),
    "schemas": ("pg-producer schemas --config shop.toml",),
    "tail": (
        "pg-producer tail --config shop.toml",
        "pg-producer tail --config shop.toml public.orders --once",
        "pg-producer tail --config shop.toml --topic shop.transaction --from-end",
    ),
    "slot drop": ("pg-producer slot drop --config shop.toml", "pg-producer slot drop --config shop.toml --yes"),
    "grants": ("pg-producer grants --config shop.toml | psql -v ON_ERROR_STOP=1 -h db1 -d shop",),
    "verify": ("pg-producer verify --config shop.toml", "pg-producer verify --config shop.toml public.orders"),
    "worker": ("pg-producer worker --config worker.properties",),
}
_CODES = {
    "run": (
        "0  told to stop, and stopped orderly; or --once, and all is delivered",
        _BUG, _USAGE, _OPERATOR, _DATA, _FAULT,
    ),
    "check": ("0  run can start; warnings may be told", _BUG, _USAGE, "3  something must be mended"),
    "status": (_OK, _BUG, _USAGE, _OPERATOR, "5  PostgreSQL or Kafka is away; what the other tells is printed"),
    "schemas": (_OK, _BUG, _USAGE, _OPERATOR, "5  PostgreSQL is away"),
    "tail": (_OK, _BUG, _USAGE, _OPERATOR, "4  a record that is not ours", "5  Kafka or the registry is away"),
    "slot drop": (
        "0  dropped, or not there", "1  not dropped: the answer was no; or a bug", _USAGE, _OPERATOR,
        "5  another session reads the slot, or a server is away",
    ),
    "grants": (_OK, _BUG, _USAGE),
    "verify": ("0  equal, or all repaired", _BUG, _USAGE, _OPERATOR, "4  different", _FAULT),
    "worker": ("0  told to stop, and stopped orderly", _BUG, _USAGE, _OPERATOR, _FAULT),
}  # fmt: skip

COMMANDS = frozenset(_EXAMPLES)
"""Those that have a page here."""

GROUP = """\b
Begin with:
  pg-producer check --config shop.toml
  pg-producer run --config shop.toml

Settings come from --config FILE, then the environment (PRODUCER_DATABASE_HOSTNAME), then --set; the later wins.
"""


def epilog(command: str) -> str | None:
    """As click prints it: the lines as they are."""
    if command not in COMMANDS:
        return None
    examples = "\n".join(f"  {line}" for line in _EXAMPLES[command])
    codes = "\n".join(f"  {line}" for line in _CODES[command])
    return f"\b\nExamples:\n{examples}\n\n\b\nExit codes:\n{codes}"


def examples() -> list[str]:
    """All of them."""
    return [line for lines in _EXAMPLES.values() for line in lines]
