"""The command: argv -> settings -> a command; an error -> its exit code and remedy.

Room: cli (IO: the terminal). Results on stdout, logs and progress on stderr.
"""

from __future__ import annotations

import errno
import functools
import os
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Concatenate, ParamSpec

import click

from producer import __version__, commands, manual, observe, serve
from producer.clock import SystemClock
from producer.display import printable
from producer.errors import OperatorError, ProducerError, SettingsError
from producer.pipeline import skips
from producer.pipeline.run import Runner
from producer.pipeline.stop import Stop
from producer.settings import Settings, asked_log_format, load_settings
from producer.transcode import compiled

P = ParamSpec("P")
Command = Callable[Concatenate[Settings, P], int | None]

_BUG = _NOT_DONE = 1
# As shells say of a command that SIGINT ended.
_INTERRUPTED = 130
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_log = observe.logger("producer")
_version = functools.partial(
    click.version_option,
    __version__,
    prog_name="pg-producer",
    message=f"%(prog)s %(version)s (transcoder {'compiled' if compiled else 'not compiled'})",
)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=manual.GROUP,
    invoke_without_command=True,
)
@_version()
@click.pass_context
def cli(context: click.Context) -> None:
    """PostgreSQL tables and their changes, as Avro on Kafka topics."""
    _help_alone(context)


def _help_alone(context: click.Context) -> None:
    """A group without a command prints what there is."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _command(name: str, *, group: click.Group = cli) -> Callable[[Command[P]], click.Command]:
    """A command that takes settings: --config, --set, --help, --version, and the exit codes."""

    def decorate(function: Command[P]) -> click.Command:
        @group.command(name, help=function.__doc__, epilog=manual.epilog(f"{group.name} {name}".removeprefix("cli ")))
        @click.option(
            "--config",
            type=click.Path(path_type=Path),
            help="A .toml, .json or .properties file, or a Connect document.",
        )
        @click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="One setting; wins over all others.")
        @_version()
        @functools.wraps(function)
        def wrapped(config: Path | None, sets: tuple[str, ...], *args: P.args, **kwargs: P.kwargs) -> None:
            sys.exit(_run(function, config, sets, *args, **kwargs))

        return wrapped

    return decorate


def _run(function: Command[P], config: Path | None, sets: tuple[str, ...], *args: P.args, **kwargs: P.kwargs) -> int:
    observe.configure("info", asked_log_format(config, sets))
    try:
        loaded = load_settings(config, sets)
        observe.configure(loaded.settings.log_level, loaded.settings.log_format)
        for warning in loaded.warnings:
            _log.warning(warning)
        return function(loaded.settings, *args, **kwargs) or 0
    except ProducerError as error:
        _tell(error)
        return error.verdict.value
    except KeyboardInterrupt:
        # Not left to click, which writes an empty line: where each is to be a JSON document, that is none.
        _say("interrupted")
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has had enough, as `head` does.
        _drop_output()
        return 0
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        _drop_output()
        full = OperatorError(f"{error.filename or 'the output'}: {error.strerror}", remedy="make room, then run again")
        _tell(full)
        return full.verdict.value


def _drop_output() -> None:
    """Forget what stdout would not take: Python writes it again at its end, and failing there is exit 120."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tell(error: ProducerError) -> None:
    if observe.json_lines():
        _log.error(error.message, remedy=error.remedy, kind=type(error).__name__)
        return
    click.echo("\n".join(map(printable, f"error: {error.message}".split("\n"))), err=True)
    if error.remedy:
        click.echo(f"  remedy: {printable(error.remedy)}", err=True)


def _say(word: str) -> None:
    if observe.json_lines():
        _log.error(word)
    else:
        click.echo(word, err=True)


def _tell_usage(error: click.ClickException) -> None:
    """In the form that was asked for, as far as a wrong command line tells."""
    sets = [after for before, after in pairwise(sys.argv) if before == "--set"]
    observe.configure("info", asked_log_format(None, sets))
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context is not None else "pg-producer"
    _tell(SettingsError(error.format_message(), remedy=f"{path} --help tells what there is"))


@_command("run")
@click.option("--once", is_flag=True, help="Stop when all that was committed before the start is delivered.")
@click.option(
    "--skip-position",
    "skipped",
    multiple=True,
    metavar="LSN:ORDINAL",
    help="Leave out one named event; may be repeated.",
)
def run(settings: Settings, once: bool, skipped: tuple[str, ...]) -> None:
    """Snapshot where due, then stream, until told to stop."""
    named = [skips.parse(text) for text in skipped]
    skips.demand_log(settings, named)
    clock = SystemClock()
    stop = Stop(clock)
    stop.listen()
    runner = Runner(settings, clock, stop, once=once, skips=named)
    with serve.listening(settings, runner.counters, clock):
        runner.run()


@_command("check")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def check(settings: Settings, as_json: bool) -> int:
    """Try every precondition of `run`; 3 when something must be mended."""
    return commands.check(settings, as_json=as_json)


@_command("status")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def status(settings: Settings, as_json: bool) -> int:
    """Slot, lag, snapshot progress, topics."""
    return commands.status(settings, as_json=as_json)


@_command("schemas")
def schemas(settings: Settings) -> None:
    """The Avro schemas of the selected tables, without touching Kafka."""
    commands.schemas(settings)


@_command("tail")
@click.argument("tables", nargs=-1, metavar="[TABLE]...")
@click.option(
    "--topic", "more", multiple=True, metavar="TOPIC", help="A topic by its whole name, e.g. <prefix>.transaction."
)
@click.option("--once", is_flag=True, help="Stop at the topics' ends.")
@click.option("--from-end", is_flag=True, help="Only what arrives from now on.")
def tail(settings: Settings, tables: tuple[str, ...], more: tuple[str, ...], once: bool, from_end: bool) -> None:
    """Decoded events from the topics, one JSON document a line. All tables' unless some are named."""
    commands.tail(settings, tables, more, once=once, from_end=from_end)


@cli.group(invoke_without_command=True)
@_version()
@click.pass_context
def slot(context: click.Context) -> None:
    """The replication slot."""
    _help_alone(context)


@_command("drop", group=slot)
@click.option("--yes", is_flag=True, help="Do not ask.")
def drop(settings: Settings, yes: bool) -> None:
    """Give the slot up: the source keeps no more WAL for us."""
    question = f"Drop the replication slot {settings.slot_name}? Changes from now on are not kept for us."
    if settings.replication_method == "FULL_TABLE":
        question = f"replication.method=FULL_TABLE uses no slot. Drop {settings.slot_name}, if it is there?"
    if not yes and not _agreed(question):
        raise click.Abort
    commands.drop_slot(settings, SystemClock())


def _agreed(question: str) -> bool:
    """The answer on stdin; where each line on stderr is a JSON document, the question is one too."""
    if not observe.json_lines():
        return click.confirm(question, err=True)
    _log.error(question, remedy="answer y or n; with --yes nothing is asked")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


@_command("grants")
def grants(settings: Settings) -> None:
    """The SQL that prepares the source, for an administrator to run. It makes role, rights and slot."""
    for line in commands.grants(settings):
        click.echo(line)


@_command("verify")
@click.argument("tables", nargs=-1, metavar="[TABLE]...")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option("--repair", is_flag=True, help="Send again what differs; no producer may be running.")
def verify(settings: Settings, tables: tuple[str, ...], as_json: bool, repair: bool) -> int:
    """Compare tables with topics at one position, all selected ones unless some are named; 4 when they differ."""
    return commands.verify(settings, SystemClock(), tables, as_json=as_json, repair=repair)


@_command("worker")
def worker(settings: Settings) -> None:
    """Many connectors, with Kafka Connect's REST interface."""
    raise commands.not_yet("worker", "run one `pg-producer run` for each connector for now")


def main() -> None:
    """The entry point of `pg-producer` and `python -m producer`."""
    try:
        sys.exit(cli(prog_name="pg-producer", standalone_mode=False))
    except click.ClickException as error:
        _tell_usage(error)
        sys.exit(error.exit_code)
    except click.Abort as error:
        interrupted = isinstance(error.__cause__, KeyboardInterrupt)
        _say("interrupted" if interrupted else "aborted")
        sys.exit(_INTERRUPTED if interrupted else _NOT_DONE)
    except Exception:  # noqa: BLE001 (the last resort: exit 1 says it is a bug)
        _log.exception("a bug in pg-producer: please report it with the lines above")
        sys.exit(_BUG)
