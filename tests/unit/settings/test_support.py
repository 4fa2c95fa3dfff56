"""Support: what a later release brings is refused by name, never ignored."""

from __future__ import annotations

import pytest

from producer.errors import NotSupportedYet, SettingsError
from producer.settings import load_settings
from producer.settings.model import FIELDS
from producer.settings.support import NOT_YET

WANTED = [
    "value.subject.name.strategy=RecordNameStrategy",
]  # fmt: skip


@pytest.mark.parametrize("wanted", WANTED)
def test_what_a_later_release_brings_is_refused_by_name(wanted: str) -> None:
    key = wanted.partition("=")[0]
    with pytest.raises(NotSupportedYet) as caught:
        load_settings(None, ["topic.prefix=p", wanted], {})
    assert caught.value.message.startswith(f"{key}: not supported yet: ")


def test_every_line_of_the_table_is_tried() -> None:
    assert set(NOT_YET) <= {wanted.partition("=")[0] for wanted in WANTED}
    assert set(NOT_YET) <= set(FIELDS)


@pytest.mark.parametrize(
    "wanted",
    [
        "snapshot.mode=no_data", "snapshot.mode=never", "snapshot.mode=initial_only", "snapshot.mode=always",
        "hosting.platform=heroku", "replication.method=FULL_TABLE", "replication.method=LOG_BASED",
        "skipped.operations=t", "skipped.operations=none", "tasks.max=1", "connector.class=PostgresConnector",
        "group.id=g", "config.storage.topic=c", "status.storage.topic=s", "errors.tolerance=all",
        "unchanged.toast.handling=fail", "unchanged.toast.handling=placeholder", "unchanged.toast.handling=null",
        "errors.retry.timeout=-1", "message.prefix.include.list=x", "provide.transaction.metadata=true",
        "heartbeat.interval.ms=5", "exactly.once.support=requested", "exactly.once.support=required",
        "auto.register.schemas=false",
        "slot.failover=true", "snapshot.mode=when_needed", "slot.max.retained.bytes=1", "slot.drop.on.stop=true",
        "http.listen=:80", "http.listen=127.0.0.1:0", "http.listen=[::]:9108", "http.basic.auth.user.info=a:b:c",
        "slot.retention.action=drop_slot", "slot.retention.action=pause_snapshot",
    ],
)  # fmt: skip
def test_what_is_supported_is_taken(wanted: str) -> None:
    """Defaults may be written down."""
    load_settings(None, ["topic.prefix=p", wanted], {})


@pytest.mark.parametrize("mode", ["initial_only", "no_data", "never"])
def test_full_tables_are_copied_in_every_run(mode: str) -> None:
    """A mode that says otherwise is refused."""
    with pytest.raises(SettingsError, match=f"snapshot.mode: {mode} has no meaning with replication.method=FULL_TABLE"):
        load_settings(None, ["topic.prefix=p", "replication.method=FULL_TABLE", f"snapshot.mode={mode}"], {})


def test_exactly_once_is_refused_where_nothing_is_remembered() -> None:
    """A second run would send all again."""
    with pytest.raises(NotSupportedYet, match="initial_only remembers nothing"):
        load_settings(None, ["topic.prefix=p", "exactly.once.support=required", "snapshot.mode=initial_only"], {})
