"""What a comparison found to differ is sent again, by the slot's own reader: it alone may write to a topic.

Room: pipeline (IO through the stages it makes). docs/DESIGN.md, "Verify".
"""

from __future__ import annotations

from producer.clock import Clock
from producer.errors import OperatorError
from producer.pipeline import stages
from producer.pipeline.repairs import Repairs
from producer.pipeline.run import Runner
from producer.pipeline.stop import Stop
from producer.settings import Settings
from producer.source import slot
from producer.source.wire import connect

# Whoever waits at a terminal is no warm standby.
_RETRY_MS = 60_000


def demand(settings: Settings, clock: Clock) -> None:
    """Refuse a repair beside a running producer, and where there is none to go on from.

    Raises:
        OperatorError: two of us would write to one topic, and a key could go back in time; or there is no slot.
    """
    if settings.replication_method != "LOG_BASED":
        raise OperatorError(
            "with replication.method=FULL_TABLE every run replaces what the topics hold",
            remedy="pg-producer run",
        )
    with connect(stages.server(settings)) as connection:
        # A producer that has just been stopped is seen as its reader for a moment.
        slot.await_reader_gone(connection, settings.slot_name, clock)
        found = slot.find(connection, settings.slot_name)
    if found is None:
        raise OperatorError(
            f"there is no replication slot {settings.slot_name}: a repair stands in its stream",
            remedy="pg-producer status tells whether it is lost, and how to recover; the first run makes it, with a "
            "snapshot",
        )
    if found.active_pid is not None:
        raise OperatorError(
            f"the replication slot {found.name} is read by pid {found.active_pid}: a repair beside a running producer "
            "could put a row behind a younger change of it",
            remedy="stop that producer for the moment: `verify --repair` streams in its place until that is done, "
            "and it goes on from there; without --repair, verify may run at any time",
        )


def mend(settings: Settings, clock: Clock, repairs: Repairs) -> bool:
    """Stream in the producer's place to the end of now, and send what differs; False when told to stop before.

    Raises:
        ProducerError: as of `pg-producer run`; what was not sent yet still differs.
    """
    stop = Stop(clock)
    stop.listen()
    limit = settings.errors_retry_timeout
    if limit < 0 or limit > _RETRY_MS:
        settings = settings.model_copy(update={"errors_retry_timeout": _RETRY_MS})
    Runner(settings, clock, stop, once=True, repairs=repairs).run()
    return not stop.requested
