"""Connect's and Debezium's properties without a meaning here."""

from __future__ import annotations

import pytest

from producer.settings import connect
from producer.settings.model import FIELDS


@pytest.mark.parametrize(
    "key",
    ["key.converter", "value.converter.schemas.enable", "transforms", "transforms.a.type", "predicates.p.type",
     "slot.max.retries", "signal.data.collection", "flush.lsn.source", "errors.log.enable", "topic.creation.groups"],
)  # fmt: skip
def test_known(key: str) -> None:
    assert connect.known(key)
    assert "has no meaning here" in connect.meaning(key)


def test_ours_are_not_among_them() -> None:
    assert not {key for key in FIELDS if connect.known(key)} - {
        key for key in FIELDS if key.startswith("topic.creation.")
    }
    assert not connect.known("table.inclde.list")
    assert all(connect.now_called(key) in FIELDS for key in ("database.server.name", "table.whitelist"))
