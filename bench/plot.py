"""`make plot`: results.json as pictures, docs/performance-*.svg.

One file for light and dark pages: text and lines have the page's colour, by prefers-color-scheme inside of the SVG.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_ROOT = Path(__file__).resolve().parent.parent
_RESULTS = _ROOT / "bench" / "results.json"
_BLUE, _GREY = "#2f81f7", "#8b949e"
_OURS = {"pg-producer": _BLUE, "pg-producer-pgoutput": "#79c0ff"}
_PEERS = ("#d29922", "#db6d28", "#bf4b8a", "#2da44e", "#a371f7")
_LIMITS = ("pg_recvlogical", "pg_recvlogical-pgoutput", "copy", "produce")
# Stands for the page's colour while matplotlib draws.
_INK = "#123456"
_STYLE = "<style>svg{color:#24292f}@media(prefers-color-scheme:dark){svg{color:#e6edf3}}</style>"
_COLUMNS = 3

Result = dict[str, Any]


def main() -> None:
    """Draw what there is in results.json."""
    parser = argparse.ArgumentParser(prog="python -m bench.plot", description=__doc__)
    parser.add_argument("--results", type=Path, default=_RESULTS)
    parser.add_argument("--folder", type=Path, default=_ROOT / "docs", help="where the pictures go")
    arguments = parser.parse_args()
    results: list[Result] = json.loads(arguments.results.read_text())
    mpl.rcParams.update(
        {
            "svg.fonttype": "none", "svg.hashsalt": "pg-producer", "font.family": "sans-serif", "font.size": 9,
            "text.color": _INK, "axes.edgecolor": _INK, "axes.labelcolor": _INK, "xtick.color": _INK,
            "ytick.color": _INK, "axes.spines.top": False, "axes.spines.right": False,
        }
    )  # fmt: skip
    drawings = {"rates": _rates(results), "growth": _growth(results), "latency": _latency(results)}
    for name, figure in drawings.items():
        if figure is not None:
            print(_write(figure, arguments.folder / f"performance-{name}.svg"))


def _rates(results: Sequence[Result]) -> Figure | None:
    """A panel for each workload with several systems: events a second, the limit beside."""
    panels: dict[str, list[Result]] = {}
    for result in results:
        if result["rate_per_second"] is not None and "growth" not in result["workload"]:
            panels.setdefault(result["workload"], []).append(result)
    panels = {name: found for name, found in panels.items() if len(found) > 1}
    if not panels:
        return None
    rows = -(-len(panels) // _COLUMNS)
    most = max(map(len, panels.values()))
    figure = Figure(figsize=(10, rows * (0.7 + 0.3 * most)), layout="constrained")
    grid = figure.subplots(rows, _COLUMNS, squeeze=False)
    for axes, name in zip(grid.flat, [*panels, *[""] * (rows * _COLUMNS - len(panels))], strict=True):
        if not name:
            axes.axis("off")
            continue
        _bars(axes, panels[name], [float(result["rate_per_second"]) for result in panels[name]], "{:,.0f}")
        axes.set_title(name, loc="left", fontweight="bold")
    figure.supxlabel("events or rows a second")
    return figure


def _bars(axes: Axes, results: Sequence[Result], values: Sequence[float], text: str) -> None:
    systems = [result["system"] for result in results]
    peers = [system for system in systems if system not in (*_OURS, *_LIMITS)]
    colours = [
        _OURS.get(system) or (_GREY if system in _LIMITS else _PEERS[peers.index(system) % len(_PEERS)])
        for system in systems
    ]
    bars = axes.barh(systems, values, color=colours)
    axes.bar_label(bars, [text.format(value) for value in values], padding=3)
    axes.margins(x=0.25)
    axes.invert_yaxis()
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)


def _growth(results: Sequence[Result]) -> Figure | None:
    """Curves: an event's cost over tables, and over rows a transaction."""
    curves = {"tables": "tables", "rows_a_transaction": "rows a transaction"}
    measures = (
        ("rate_per_second", 1.0, "events/s"),
        ("cpu_seconds_per_million", 1.0, "processor s per million"),
        ("peak_rss_bytes", 1e6, "peak RSS, MB"),
    )
    found = [result for result in results if "growth" in result["workload"]]
    if not found:
        return None
    figure = Figure(figsize=(10, 5.5), layout="constrained")
    grid = figure.subplots(2, 3)
    for row, (by, label) in zip(grid, curves.items(), strict=True):
        points = [result for result in found if by in result]
        for axes, (measure, unit, title) in zip(row, measures, strict=True):
            for system in dict.fromkeys(result["system"] for result in points):
                own = sorted((result[by], result[measure] / unit) for result in points if result["system"] == system)
                colour = _OURS.get(system, _GREY)
                axes.plot(*zip(*own, strict=True), marker="o", color=colour, label=system)
            axes.set_xscale("log")
            axes.set_ylim(bottom=0)
            axes.set_xlabel(label)
            axes.set_title(title, loc="left", fontweight="bold")
            if points:
                axes.legend(frameon=False)
    return figure


def _latency(results: Sequence[Result]) -> Figure | None:
    """Milliseconds from commit to arrival."""
    found = [result for result in results if result["workload"] == "W-latency"]
    if not found:
        return None
    figure = Figure(figsize=(10, 0.9 + 0.3 * len(found)), layout="constrained")
    grid = figure.subplots(1, 3)
    for axes, measure in zip(grid, ("p50", "p99", "max"), strict=True):
        _bars(axes, found, [result[f"{measure}_ms"] for result in found], "{:,.1f} ms")
        axes.set_title(measure, loc="left", fontweight="bold")
    return figure


def _write(figure: Figure, path: Path) -> Path:
    figure.savefig(path, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = path.read_text().replace(_INK, "currentColor")
    path.write_text(re.sub(r"(<svg [^>]*>)", rf"\1{_STYLE}", text, count=1))
    return path


if __name__ == "__main__":
    main()
