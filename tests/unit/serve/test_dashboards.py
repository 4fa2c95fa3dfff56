"""The alerts and the dashboard: every expression can be read, and every metric and label in them is ours."""

from __future__ import annotations

import json
import re
from pathlib import Path

import promql_parser
import pytest
import yaml

from producer.serve.metrics import BEHIND, METRICS, PREFIX

DOCS = Path(__file__).resolve().parents[3] / "docs"
NAMES = {PREFIX + metric.name: set(metric.labels) for metric in METRICS}
NAMES |= {f"{PREFIX}{BEHIND}_bucket": {"le"}, f"{PREFIX}{BEHIND}_count": set(), f"{PREFIX}{BEHIND}_sum": set()}
# Prometheus's own, of every sample that it scrapes.
SCRAPED = {"job", "instance"}
RULES = [
    rule for group in yaml.safe_load((DOCS / "prometheus-rules.yml").read_text())["groups"] for rule in group["rules"]
]
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
DASHBOARD = json.loads((DOCS / "grafana-dashboard.json").read_text())
TARGETS = [(panel["title"], target) for panel in DASHBOARD["panels"] for target in panel["targets"]]
EXPRESSIONS = [rule["expr"] for rule in RULES] + [target["expr"] for _, target in TARGETS]


def _metrics(expression: str) -> set[str]:
    found = set(re.findall(r"\bpg_producer[\w:]+", expression))
    assert found
    return found


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_can_be_read_and_names_what_there_is(expression: str) -> None:
    promql_parser.parse(expression)
    names = _metrics(expression)
    assert names <= NAMES.keys() | RECORDED
    labels = set().union(*(NAMES.get(name, set()) for name in names)) | SCRAPED
    for selected in re.findall(r"\{([^}]*)\}", expression):
        assert {part.split("=")[0].strip(" !") for part in selected.split(",")} <= labels
    for grouped in re.findall(r"\bby \(([^)]*)\)", expression):
        assert {label.strip() for label in grouped.split(",")} <= labels


def test_what_is_said_of_an_alert_names_labels_that_it_has() -> None:
    for rule in RULES:
        if "alert" in rule:
            labels = set().union(*(NAMES.get(name, set()) for name in _metrics(rule["expr"]))) | SCRAPED
            assert set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"]))) <= labels
            assert rule["labels"]["severity"] in ("warning", "critical")
    for title, target in TARGETS:
        labels = set().union(*(NAMES[name] for name in _metrics(target["expr"]))) | SCRAPED
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels, title


def test_the_dashboard_shows_every_metric() -> None:
    """One that nobody looks at need not be counted."""
    shown = set().union(*(_metrics(target["expr"]) for _, target in TARGETS))
    unshown = {name for name in NAMES if not name.endswith(("_count", "_sum"))} - shown
    assert not unshown


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_an_alert_sees_the_first_of_a_series() -> None:
    """A series with labels begins with its first count: there it has not risen, and a scrape of nothing is no alert."""
    for rule in RULES:
        labelled = any(NAMES.get(name) for name in re.findall(r"increase\((\w+)", rule["expr"]))
        assert ("unless" in rule["expr"]) is labelled, rule
    assert any(rule["expr"].startswith("up == 0") for rule in RULES), "the process is gone"
