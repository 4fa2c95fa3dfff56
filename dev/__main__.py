"""`python -m dev COMMAND`: start, stop, kill, restart, status, logs, env, wipe, install, fetch."""

from __future__ import annotations

import argparse
import json
import sys

from dev.fetch import fetch
from dev.install import StackError, install, say
from dev.stack import NAMES, Stack


def main(argv: list[str] | None = None) -> int:
    """Run one command; 1 with a reason when it cannot."""
    parser = argparse.ArgumentParser(prog="python -m dev", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, words in _COMMANDS.items():
        command = commands.add_parser(name, help=words)
        if name in ("start", "stop"):
            command.add_argument("server", nargs="*", choices=[*NAMES, []], default=[])
        if name in ("kill", "restart", "logs"):
            command.add_argument("server", choices=NAMES)
        if name == "status":
            command.add_argument("--json", action="store_true")
    arguments = parser.parse_args(argv)
    try:
        _run(arguments, Stack.load())
    except StackError as error:
        say(f"error: {error}")
        return 1
    return 0


_COMMANDS = {
    "install": "install the Debian packages and the Java that are missing",
    "fetch": "fetch Kafka and the registry once",
    "start": "start the servers and wait until they are ready",
    "stop": "stop the servers",
    "kill": "kill -9 one server",
    "restart": "restart one server",
    "status": "which servers run, and where",
    "logs": "print one server's log",
    "env": "print the producer's settings for this stack, for the shell",
    "wipe": "stop everything and delete the data",
}


def _run(arguments: argparse.Namespace, stack: Stack) -> None:
    match arguments.command:
        case "install":
            install()
        case "fetch":
            fetch(stack.cache)
        case "start":
            stack.start(*arguments.server)
            _status(stack, as_json=False)
        case "stop":
            stack.stop(*arguments.server)
        case "kill":
            stack.kill(arguments.server)
        case "restart":
            stack.restart(arguments.server)
        case "status":
            _status(stack, as_json=arguments.json)
        case "logs":
            print(stack.log_path(arguments.server).read_text(errors="replace"))
        case "env":
            for name, value in stack.environment().items():
                print(f"export {name}={value}")
        case "wipe":
            stack.wipe()


def _status(stack: Stack, *, as_json: bool) -> None:
    where = {
        "postgres": f"{stack.postgres_host}:{stack.postgres_port}",
        "kafka": stack.bootstrap_servers,
        "registry": stack.registry_url,
    }
    rows = [
        {"server": name, "running": stack.running(name), "address": where[name], "log": str(stack.log_path(name))}
        for name in NAMES
    ]
    if as_json:
        print(json.dumps(rows))
        return
    for row in rows:
        print(f"{row['server']:10}{'running' if row['running'] else 'stopped':10}{row['address']}")


sys.exit(main())
