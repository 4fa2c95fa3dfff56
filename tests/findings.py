"""What `check` found, as its JSON tells."""

from __future__ import annotations

import json

from tests.harness import Command, wait_for

Findings = dict[str, dict[str, str]]
Settings = dict[str, object]


def checked(command: Command, code: int, settings: Settings | None = None) -> Findings:
    """What it found, by line; every failure and every warning has a remedy."""
    done = command.run("check", "--json", settings=settings)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    document = json.loads(done.stdout)
    assert document["ok"] is (code == 0)
    assert all(one["remedy"] for one in document["findings"] if one["status"] != "ok")
    return {one["name"]: one for one in document["findings"]}


def tried(command: Command, code: int, settings: Settings | None = None) -> Findings:
    """The same, once no transaction of others on this server keeps the plugin from being tried with a slot."""
    found: Findings = {}

    def made() -> bool:
        found.clear()
        found.update(checked(command, code, settings))
        return "would wait for open transactions" not in found["plugin"]["detail"]

    wait_for(made, 60, "others' transactions to end")
    return found


def lines(found: Findings, status: str) -> set[str]:
    return {name for name, one in found.items() if one["status"] == status}
