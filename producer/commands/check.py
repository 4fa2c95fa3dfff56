"""`check`: every precondition of `run`, tried, one line each, with its remedy.

Room: commands (IO through the stages).
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import click

from producer.commands.checks import kafka, position, schemas
from producer.commands.checks.source import SourceChecks
from producer.display import printable
from producer.errors import Verdict
from producer.findings import Finding
from producer.settings import Settings
from producer.transcode import compiled

_MARKS = {"ok": "ok", "warning": "warning", "failed": "FAILED"}


def check(settings: Settings, *, as_json: bool) -> int:
    """Print all findings; 0, or 3 when one of them failed."""
    findings = []
    for finding in _all(settings):
        findings.append(finding)
        if not as_json:
            _print(finding)
    failed = any(finding.status == "failed" for finding in findings)
    if as_json:
        rows = [{"name": f.title, "status": f.status, "detail": f.detail, "remedy": f.remedy} for f in findings]
        click.echo(json.dumps({"ok": not failed, "findings": rows}, indent=2, ensure_ascii=False))
    return Verdict.OPERATOR.value if failed else 0


def _print(finding: Finding) -> None:
    click.echo(f"{_MARKS[finding.status]:8} {printable(f'{finding.title}: {finding.detail}')}")
    if finding.remedy and finding.status != "ok":
        click.echo(f"{'':8}   remedy: {printable(finding.remedy)}")


def _all(settings: Settings) -> Iterator[Finding]:
    yield Finding(
        name="transcoder",
        status="ok" if compiled else "warning",
        detail="compiled" if compiled else "not compiled: correct, but about fifty times slower",
        remedy="" if compiled else "install a C compiler, then pip install --force-reinstall pg-producer",
    )
    source = SourceChecks(settings)
    yield from source.findings()
    kafka_answers = False
    for finding in kafka.findings(settings, source.relations):
        kafka_answers |= finding.name == "kafka" and finding.status == "ok"
        yield finding
    if kafka_answers and source.is_primary and settings.snapshot_mode != "initial_only":
        yield from position.findings(settings)
    yield from schemas.findings(settings, source.relations)
