"""`python -m dev COMMAND`: a real PostgreSQL, Kafka and schema registry on this machine, without containers."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import time

from dev.fetch import APICURIO_VERSION, KAFKA_VERSION
from dev.shell import StackError, say, tail
from dev.stack import ALL, Stack

_COMMANDS = {
    "install": "install the Debian packages and the Java that are missing",
    "fetch": "fetch Kafka and the registry, once; Connect's plugins where it is named",
    "start": "start servers (those named; else all but Connect) and wait until they are ready",
    "stop": "stop servers (all, or those named)",
    "kill": "kill -9 one server",
    "restart": "stop and start one server, on the same port",
    "status": "which servers run, and where",
    "logs": "print one server's log",
    "env": 'print the settings for this stack, for the shell: eval "$(python -m dev env)"',
    "wipe": "stop everything and delete the data",
}
_SEVERAL = ("install", "fetch", "start", "stop")
_ONE = ("kill", "restart", "logs")


def main(argv: list[str] | None = None) -> int:
    """Run one command; 1, with a reason, when it cannot."""
    arguments = _parser().parse_args(argv)
    try:
        _run(arguments, Stack.load())
        sys.stdout.flush()
    except StackError as error:
        say(f"error: {error}")
        return 1
    except BrokenPipeError:
        # The reader has seen enough; nothing may be flushed to it at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        say("interrupted: `python -m dev stop` ends what was started")
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dev", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, words in _COMMANDS.items():
        command = commands.add_parser(name, help=words, description=words)
        if name in _SEVERAL:
            command.add_argument("servers", nargs="*", metavar="NAME", help=", ".join(ALL))
        if name in _ONE:
            command.add_argument("server", choices=ALL)
        if name == "logs":
            command.add_argument("-n", "--lines", type=int, help="only the last lines")
        if name == "status":
            command.add_argument("--json", action="store_true", help="one JSON document")
    return parser


def _run(arguments: argparse.Namespace, stack: Stack) -> None:
    match arguments.command:
        case "install":
            stack.install(*arguments.servers)
        case "fetch":
            stack.fetch(*arguments.servers)
        case "start":
            began = time.monotonic()
            stack.start(*arguments.servers)
            say(f"ready in {time.monotonic() - began:.1f} s")
            _status(stack, as_json=False)
        case "stop":
            stack.stop(*arguments.servers)
        case "kill":
            stack.kill(arguments.server)
        case "restart":
            stack.restart(arguments.server)
        case "status":
            _status(stack, as_json=arguments.json)
        case "logs":
            _logs(stack, arguments.server, arguments.lines)
        case "env":
            for name, value in {**stack.client_environment(), **stack.environment()}.items():
                print(f"export {name}={shlex.quote(value)}")
        case "wipe":
            stack.wipe()


def _status(stack: Stack, *, as_json: bool) -> None:
    where = {
        "postgres": f"{stack.postgres_host}:{stack.postgres_port}",
        "kafka": stack.bootstrap_servers,
        "registry": stack.registry_url,
    }
    versions = {
        "postgres": stack.postgres_version,
        "kafka": KAFKA_VERSION,
        "registry": APICURIO_VERSION,
        "connect": KAFKA_VERSION,
    }
    rows = []
    if stack.running("connect"):
        where["connect"] = stack.connect_url
    for name in where:
        pid = stack.pid(name)
        rows.append(
            {
                "server": name,
                "version": versions[name],
                "running": pid is not None,
                "pid": pid,
                "address": where[name],
                "log": str(stack.log_path(name)),
            }
        )
    if as_json:
        print(json.dumps(rows))
        return
    for row in rows:
        print(f"{row['server']:10}{row['version']:8}{'running' if row['running'] else 'stopped':10}{row['address']}")


def _logs(stack: Stack, name: str, lines: int | None) -> None:
    log = stack.log_path(name)
    if not log.exists():
        raise StackError(f"{name} never ran: there is no {log}")
    text = log.read_text(errors="replace")
    print(text.rstrip("\n") if lines is None else tail(text, lines))


if __name__ == "__main__":
    sys.exit(main())
