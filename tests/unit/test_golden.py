"""Golden cases: what a real server printed once becomes what it became then, in both builds, without a server."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import fastavro
import pytest

from producer.schema.avro import table_schema
from producer.schema.types import Modes
from tests import builds
from tests.golden.capture import FOLDER, Captured, outcome, told
from tests.golden.cases import CASES
from tests.paths import PREFIX

_BUILDS = {"compiled": builds.compiled(), "uncompiled": builds.uncompiled()}
_FRAME = 5
NAMES = [case.name for case in CASES]


def test_every_case_has_its_folder() -> None:
    """And every folder its case: `make golden` makes them."""
    folders = {path.parent.name for path in FOLDER.glob("*/relation.json")}
    assert sorted(folders) == sorted(NAMES)


@pytest.mark.parametrize("build", sorted(_BUILDS))
@pytest.mark.parametrize("name", NAMES)
def test_a_case_becomes_what_it_became(name: str, build: str) -> None:
    """Codes, refusals, keys, values and what a consumer decodes of them."""
    found = outcome(_BUILDS[build], Captured.load(FOLDER / name))
    assert found == json.loads((FOLDER / name / "expected.json").read_text())


@pytest.mark.parametrize("build", sorted(_BUILDS))
@pytest.mark.parametrize("name", NAMES)
def test_pgoutput_s_message_of_the_same_change_becomes_the_same(name: str, build: str) -> None:
    """By both of its paths, on each server; but for what wal2json has lost, which is told."""
    captured = Captured.load(FOLDER / name)
    expected = json.loads((FOLDER / name / "expected.json").read_text())["records"]
    for messages in (captured.messages, *captured.others.values()):
        for record, (general, fast) in zip(expected, told(_BUILDS[build], captured, messages), strict=True):
            if record.get("suspects") or record.get("unreadable"):
                # A value, or one that its column cannot hold.
                assert general.get("code") == 1 or "refused" in general
                assert not general.get("suspects")
            else:
                assert general == record
            assert fast == {name: value for name, value in general.items() if name != "columns"}


def _plain(schema: Any) -> Any:
    """Without logical types: fastavro writes a decimal's bytes longer than need be (-1.28 as ff 80)."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: _plain(item) for name, item in schema.items() if name != "logicalType"}


def _events(folder: Path) -> list[dict[str, Any]]:
    expected = json.loads((folder / "expected.json").read_text())
    found = [*expected["records"], *expected["lines"]]
    return [event for event in (*found, *(event["old"] for event in found if "old" in event)) if "value" in event]


@pytest.mark.parametrize("name", NAMES)
def test_fastavro_writes_the_same_bytes(name: str) -> None:
    """From the values that it read: an encoder that shares nothing with ours."""
    schemas = table_schema(Captured.load(FOLDER / name).relation, modes=Modes(prefix=PREFIX))
    assert schemas.key_schema is not None
    for event in _events(FOLDER / name):
        for part, text in (("key", schemas.key_schema), ("value", schemas.value_schema)):
            schema = fastavro.parse_schema(_plain(json.loads(text)))
            body = bytes.fromhex(event[part])[_FRAME:]
            out = io.BytesIO()
            fastavro.schemaless_writer(out, schema, fastavro.schemaless_reader(io.BytesIO(body), schema, None))
            assert out.getvalue() == body


def test_each_oddity_is_there() -> None:
    """Both kinds of outcome, all kinds of events: a replay of nothing would be no test."""
    all_expected = [json.loads((FOLDER / name / "expected.json").read_text()) for name in NAMES]
    records = [record for expected in all_expected for record in expected["records"]]
    assert {record.get("code") for record in records} >= {0, 1, 2, 3, None}
    assert any(record.get("suspects") for record in records)
    assert any("refused" in record for record in records)
    assert any("unreadable" in record for record in records)
    assert any("refused" in line for expected in all_expected for line in expected["lines"])
    assert sum(len(_events(FOLDER / name)) for name in NAMES) > 60
