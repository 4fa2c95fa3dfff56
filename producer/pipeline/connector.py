"""What belongs to one connector: settings and counters as long as it runs, walker and letters of its session.

Room: pipeline (pure).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from producer.clock import Clock
from producer.observe import Counters
from producer.pipeline.health.retention import Retention
from producer.pipeline.repairs import Repairs
from producer.pipeline.side.dead_letters import DeadLetters
from producer.pipeline.side.topics import SideTopics
from producer.pipeline.skips import Skips
from producer.pipeline.stop import Stop
from producer.settings import Settings
from producer.source.wire import Server
from producer.transcode.source_block import SourceBlock
from producer.transcode.walker import Walker


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector:
    """One database, one slot. Sinks and sessions come and go: walker and dead letters are of one session."""

    settings: Settings
    clock: Clock
    stop: Stop
    counters: Counters
    server: Server
    walker: Walker
    block: SourceBlock
    side: SideTopics
    dead_letters: DeadLetters
    retention: Retention
    skips: Skips
    unseen: set[int] = field(default_factory=set)
    """Transactions (32-bit ids) that were produced, and not yet seen to be visible in the source."""
    repairs: Repairs = field(default_factory=Repairs)
    """What a comparison found to differ: read beside the stream, and only that sent again."""
