"""The faults, by name: what each does to a scene, and in which numbers they are made."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.chaos.link import TO_CLIENT
from tests.chaos.scene import Scene
from tests.harness import wait_for

Fault = Callable[[Scene], None]
KILL = "kill -9"
# How often a point may be reached before it is the one to die at.
STREAM_POINTS = {"produced": 30, "key_change": 8}
AT_LEAST_ONCE_POINTS = {"acked": 8, "offset_sent": 8, "offset_acked": 8}
# Reached with exactly.once.support=required, which does not reach those above it.
EXACTLY_ONCE_POINTS = {"transaction_begun": 1, "offset_in_transaction": 8, "committed": 8}
SCHEMA_POINT = "schema_asked"
SNAPSHOT_POINTS = {"slot_made": 1, "mid_copy": 8, "chunk_acked": 3, "snapshot_done": 1}
POINTS = (*SNAPSHOT_POINTS, *STREAM_POINTS, *AT_LEAST_ONCE_POINTS, *EXACTLY_ONCE_POINTS, SCHEMA_POINT)


def _kill(scene: Scene) -> None:
    scene.kill()
    scene.start()


def _at_point(point: str, most: int) -> Fault:
    def run(scene: Scene) -> None:
        scene.terminate()
        scene.start(f"{point}:{scene.chance.randint(1, most)}")
        scene.die(point)
        scene.start()

    return run


def _at_schema_point(scene: Scene) -> None:
    scene.terminate()
    scene.start(f"{SCHEMA_POINT}:1")
    scene.streaming()
    # A table that is read just then has its new shape from the catalogue: the stream asks for none.
    scene.die(SCHEMA_POINT, every_while=scene.alter)
    scene.start()


def _terminate(scene: Scene) -> None:
    scene.terminate()
    scene.start()


def _freeze(scene: Scene) -> None:
    scene.freeze(scene.chance.uniform(1, 5))


def _registry_away(scene: Scene) -> None:
    """Exactly when a schema has changed."""
    scene.stack.stop("registry")
    try:
        scene.alter()
        time.sleep(scene.chance.uniform(0.5, 2))
    finally:
        scene.stack.start("registry")


def _answers_lost(scene: Scene) -> None:
    """Kafka takes records, its answers do not arrive, and then we die."""
    scene.command.links["kafka"].hold(TO_CLIENT)
    time.sleep(scene.chance.uniform(0.2, 1.5))
    scene.kill()
    scene.command.links["kafka"].reset()
    scene.start()


def _cut(server: str) -> Fault:
    return lambda scene: scene.command.links[server].cut()


def _black_hole(server: str) -> Fault:
    """Nothing passes for a while; then what was kept arrives, or the connections are gone."""

    def run(scene: Scene) -> None:
        link = scene.command.links[server]
        link.hold()
        time.sleep(scene.chance.uniform(1, 5))
        if scene.chance.random() < 0.5:
            link.release()
        else:
            link.reset()

    return run


def _slow(server: str) -> Fault:
    def run(scene: Scene) -> None:
        link = scene.command.links[server]
        link.slow(scene.chance.choice((20_000, 100_000)))
        time.sleep(scene.chance.uniform(1, 3))
        link.release()

    return run


def _at_points(points: dict[str, int]) -> dict[str, Fault]:
    return {f"kill at: {point}": _at_point(point, most) for point, most in points.items()}


_KILLERS: dict[str, Fault] = {
    KILL: _kill,
    **_at_points(STREAM_POINTS),
    f"kill at: {SCHEMA_POINT}": _at_schema_point,
    "Kafka's answers lost, then kill -9": _answers_lost,
    "SIGTERM": _terminate,
}
SURVIVED: dict[str, Fault] = {
    "SIGSTOP for 1-5 s": _freeze,
    "PostgreSQL: fast restart": lambda scene: scene.stack.restart("postgres"),
    "PostgreSQL: immediate restart": lambda scene: scene.crash_postgres(),
    "Kafka: restart": lambda scene: scene.stack.restart("kafka"),
    "Kafka: kill -9": lambda scene: scene.crash("kafka"),
    "registry away at a schema change": _registry_away,
    **{f"{name}: cut in a message": _cut(link) for name, link in (("PostgreSQL", "postgres"), ("Kafka", "kafka"))},
    **{f"{name}: black hole": _black_hole(link) for name, link in (("PostgreSQL", "postgres"), ("Kafka", "kafka"))},
    **{f"{name}: slow link": _slow(link) for name, link in (("PostgreSQL", "postgres"), ("Kafka", "kafka"))},
}
"""What one process must live through."""


def stream(*, exactly_once: bool = False) -> dict[str, Fault]:
    """The faults beside the stream."""
    return {**_KILLERS, **_at_points(EXACTLY_ONCE_POINTS if exactly_once else AT_LEAST_ONCE_POINTS), **SURVIVED}


def _first_at_point(point: str, most: int) -> Fault:
    def run(scene: Scene) -> None:
        scene.start(f"{point}:{scene.chance.randint(1, most)}")
        scene.die(point)
        scene.start()

    return run


def _in_snapshot(fault: Fault) -> Fault:
    """At the first rows in Kafka."""

    def run(scene: Scene) -> None:
        scene.start()
        wait_for(lambda: scene.running and scene.confirms.records() > 0, 60, "the snapshot's first rows")
        scene.struck()
        fault(scene)

    return run


SNAPSHOT: dict[str, Fault] = {
    **{f"snapshot, kill at: {point}": _first_at_point(point, most) for point, most in SNAPSHOT_POINTS.items()},
    "snapshot, SIGTERM": _in_snapshot(_terminate),
    "snapshot, PostgreSQL: immediate restart": _in_snapshot(lambda scene: scene.crash_postgres()),
    "snapshot, Kafka: kill -9": _in_snapshot(lambda scene: scene.crash("kafka")),
}
"""Each is how a scene begins."""
