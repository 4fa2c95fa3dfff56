"""A connector without servers, for the stages of the pipeline: its clock stands until it is set."""

from __future__ import annotations

from producer.observe import Counters
from producer.pipeline import stages
from producer.pipeline.connector import Connector
from producer.pipeline.health.retention import Retention
from producer.pipeline.side.dead_letters import DeadLetters
from producer.pipeline.side.topics import SideTopics
from producer.pipeline.skips import Skips
from producer.pipeline.stop import Stop
from producer.settings import load_settings
from producer.sink.memory import MemorySink
from producer.transcode.source_block import SourceBlock
from producer.transcode.walker import Walker


class StillClock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        """Seconds, as they were set."""
        return self.now

    def time_us(self) -> int:
        """The same in microseconds."""
        return int(self.now * 1_000_000)


def connector(clock: StillClock, *settings: str) -> Connector:
    """One with the prefix `p` and these `key=value` settings."""
    loaded = load_settings(None, ["topic.prefix=p", *settings], {}).settings
    counters = Counters()
    server = stages.server(loaded)
    return Connector(
        settings=loaded, clock=clock, stop=Stop(clock), counters=counters, server=server,
        walker=Walker(), block=SourceBlock(version="1", name="p", database="d"), side=SideTopics(loaded),
        dead_letters=DeadLetters(loaded, MemorySink(), counters), skips=Skips((), counters),
        retention=Retention(loaded, server, clock, counters),
    )  # fmt: skip
