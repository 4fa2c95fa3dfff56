"""What differs between two shapes of a table, in words.

Room: schema (pure). PostgreSQL manual, "ALTER TABLE".
"""

from __future__ import annotations

from producer.events import Column, Relation

_NUMERIC = 1700


def in_words(before: Relation, after: Relation) -> str:
    """The differences that a schema shows; columns are known by their numbers, so a new name is a new name."""
    old = {column.attnum: column for column in before.columns}
    new = {column.attnum: column for column in after.columns}
    said = [f"column {column.name} was dropped" for attnum, column in old.items() if attnum not in new]
    said += [f"column {column.name} ({_type(column)}) was added" for attnum, column in new.items() if attnum not in old]
    for attnum in sorted(old.keys() & new.keys()):
        was, now = old[attnum], new[attnum]
        if was.name != now.name:
            said.append(f"column {was.name} was renamed to {now.name}")
        if was.type.oid != now.type.oid or _type(was) != _type(now):
            said.append(f"column {now.name} was of type {_type(was)} and is {_type(now)}")
        elif was.type != now.type:
            said.append(f"the type {_type(now)} of column {now.name} was altered")
        if was.not_null != now.not_null:
            said.append(f"column {now.name} is {'' if now.not_null else 'no longer '}NOT NULL")
    if before.key != after.key:
        said.append(f"the key was ({', '.join(before.key)}) and is ({', '.join(after.key)})")
    return "; ".join(said)


def _type(column: Column) -> str:
    name = column.type.display_name
    if column.type.oid == _NUMERIC and column.typmod >= 0:
        number = column.typmod - 4
        return f"{name}({number >> 16 & 0xFFFF},{(number & 0x7FF ^ 1024) - 1024})"
    return name
