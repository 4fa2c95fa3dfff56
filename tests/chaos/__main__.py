"""`make chaos`: faults in the snapshot and in the stream, under load, then the judge; `--soak` for memory over time."""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psycopg
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from dev.shell import StackError
from dev.stack import Stack
from producer.errors import ProducerError
from tests import harness
from tests.chaos.faults import SNAPSHOT, Fault, stream
from tests.chaos.plan import Script, scripts
from tests.chaos.scene import Failed, Scene
from tests.chaos.soak import Sample, soak
from tests.chaos.table import Table

_RESULTS = Path(__file__).with_name("results.json")
_SOAK_RESULTS = Path(__file__).with_name("soak.json")
_EXACTLY_ONCE = {"exactly.once.support": "required"}
_SHORT = (3, 1)
_TOLD_LINES = 20
_FAILURES = (Failed, StackError, ProducerError, psycopg.Error, AssertionError, TimeoutError, subprocess.TimeoutExpired)


def main() -> int:
    """Make the faults; 0 only when nothing was lost, nothing out of order, and everything compared equal."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="what the load and the faults are")
    parser.add_argument("--kills", type=int, default=200, help="rounds of kill -9 (200)")
    parser.add_argument("--rounds", type=int, default=20, help="rounds of each other fault (20)")
    parser.add_argument("--short", action="store_true", help="3 rounds of kill -9, one of each other fault")
    parser.add_argument("--minutes", type=float, help="begin no scene after so long")
    parser.add_argument("--scene", type=int, help="only this one of the seed's scenes")
    parser.add_argument("--plugin", choices=("wal2json", "pgoutput"), default="wal2json", help="plugin.name")
    parser.add_argument("--exactly-once", action="store_true", help="nothing may be repeated either")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="memory, descriptors and threads over time")
    parser.add_argument("--folder", type=Path, help="where the stack lives (.dev/chaos)")
    arguments = parser.parse_args()
    if arguments.short:
        arguments.kills, arguments.rounds = _SHORT
    harness.PLUGIN = arguments.plugin
    base = Stack.load()
    stack = Stack((arguments.folder or base.folder.parent / "chaos").absolute(), base.cache)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    stack.wipe()
    code = 1
    try:
        stack.start()
        code = Chaos(stack, arguments).run()
        return code
    finally:
        if code:
            stack.stop()
            say(f"kept: the producers' logs and the servers' in {stack.folder}")
        else:
            stack.wipe()


class Chaos:
    """All scenes of one seed, on one stack."""

    def __init__(self, stack: Stack, arguments: argparse.Namespace) -> None:
        self._stack = stack
        self._arguments = arguments
        self._settings: Mapping[str, object] = _EXACTLY_ONCE if arguments.exactly_once else {}
        self._stream = stream(exactly_once=arguments.exactly_once)
        self._table = Table()
        self._samples: list[Sample] = []
        self._began = time.monotonic()
        self._why = ""
        """Of the last failure; CI shows the end of what is printed."""

    def run(self) -> int:
        """Every scene; those that failed are told, and their logs kept."""
        wanted = self._arguments
        say(f"seed {wanted.seed}, PostgreSQL {self._stack.postgres_version}, {self._plugin}")
        failed: list[str] = []
        if wanted.soak is not None:
            scene = self._scene("soak", wanted.seed, seconds=wanted.soak * 60 + 600)
            if not self._made(scene, "the soak", lambda: self._soak(scene)):
                failed.append(f"--soak {wanted.soak:g}")
        else:
            for script in scripts(self._stream, wanted.seed, wanted.kills, wanted.rounds):
                if wanted.scene not in (None, script.number):
                    continue
                if wanted.minutes is not None and time.monotonic() - self._began > wanted.minutes * 60:
                    say(f"{wanted.minutes:g} minutes are over: the scenes from {script.number} on are left out")
                    break
                if not self._play(script):
                    failed.append(f"--scene {script.number}")
        return self._tell(failed)

    @property
    def _plugin(self) -> str:
        plugin: str = self._arguments.plugin
        return f"{plugin} {self._stack.wal2json_version}" if plugin == "wal2json" else plugin

    def _scene(self, name: str, seed: object, seconds: float = 600) -> Scene:
        folder = self._stack.folder / "producers" / name
        folder.mkdir(parents=True)
        return Scene(self._stack, name, folder, seed, settings=self._settings, seconds=seconds)

    def _play(self, script: Script) -> bool:
        scene = self._scene(f"chaos{script.number}", f"{self._arguments.seed}/{script.number}")

        def faults() -> None:
            self._round(scene, script.beginning, SNAPSHOT[script.beginning])
            for name in script.faults:
                self._round(scene, name, self._stream[name])

        return self._made(scene, f"scene {script.number}", faults)

    def _soak(self, scene: Scene) -> None:
        self._samples = soak(scene, self._arguments.soak * 60, lambda name, fault: self._round(scene, name, fault), say)

    def _round(self, scene: Scene, name: str, fault: Fault) -> float:
        try:
            seconds = scene.round(name, fault)
        except _FAILURES:
            self._table.line(name).failed += 1
            say(f"failed in: {name}")
            raise
        self._table.survived(name, seconds)
        self._say(f"{name}: {seconds:.1f} s")
        return seconds

    def _made(self, scene: Scene, name: str, play: Callable[[], None]) -> bool:
        """Play a scene and judge it; whether it held. The logs of one that held are of no use."""
        try:
            play()
            verdict = scene.finish(once=self._arguments.exactly_once)
        except _FAILURES as error:
            self._why = f"{name} failed: {error}"
            self._say(self._why)
            return False
        finally:
            scene.close()
        self._table.add(verdict)
        for difference in verdict.differences[:_TOLD_LINES]:
            say(f"  {difference}")
        self._say(
            f"{name}: {verdict.total('events')} events of {verdict.transactions} transactions, "
            f"{verdict.total('lost')} lost, {verdict.total('out_of_order')} out of order, "
            f"{verdict.total('repeated')} repeated, {verdict.ahead} confirmed too early in {verdict.looks} looks"
        )
        if verdict.differences:
            self._why = f"{name}: {verdict.differences[0]}"
        if verdict.good:
            shutil.rmtree(scene.command.folder)
            self._delete_topics(scene.command.prefix)
        return verdict.good

    def _delete_topics(self, prefix: str) -> None:
        """A broker with many topics takes long to start."""
        admin = AdminClient({"bootstrap.servers": self._stack.bootstrap_servers, "log_level": 0})
        topics = [name for name in admin.list_topics(timeout=20).topics if name.startswith(f"{prefix}.")]
        with contextlib.suppress(KafkaException):
            for future in admin.delete_topics(topics).values() if topics else ():
                future.result()

    def _tell(self, failed: list[str]) -> int:
        table = self._table
        facts: dict[str, object] = {
            "seed": self._arguments.seed,
            "exactly_once": self._arguments.exactly_once,
            "seconds": round(time.monotonic() - self._began),
            "postgres": self._stack.postgres_version,
            "plugin": self._plugin,
            "cores": os.cpu_count(),
            "failed": failed,
        }
        results = _RESULTS
        if self._arguments.soak is not None:
            results = _SOAK_RESULTS
            facts["samples"] = self._samples
        table.save(results, facts)
        say(f"\n{table.markdown((*SNAPSHOT, *self._stream))}\n")
        total = table.total
        self._say(
            f"seed {self._arguments.seed}, {table.scenes} scenes, {table.transactions} transactions, "
            f"{table.looks} looks: {total.rounds} rounds, {total.events} events, {total.lost} lost, "
            f"{total.out_of_order} out of order, {total.repeated} repeated; {results.name}"
        )
        if failed:
            given = self._arguments
            say(self._why)
            say(f"failed: {', '.join(failed)}; again: python -m tests.chaos --seed {given.seed} "
                f"--plugin {given.plugin} --kills {given.kills} --rounds {given.rounds} {failed[0]}")  # fmt: skip
        return 1 if failed or total.lost or total.out_of_order or table.bad else 0

    def _say(self, text: str) -> None:
        say(f"{time.monotonic() - self._began:6.1f} s  {text}")


def say(text: str) -> None:
    """Progress and result, on stdout."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
