"""`make picture`: docs/demo.svg, what `make demo` shows, as a picture.

Room: dev (IO). The run is a real one; its first events are drawn, each line as far as the picture is wide.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.text import Text

from dev.shell import StackError

_FILE = Path(__file__).resolve().parent.parent / "docs" / "demo.svg"
_COLUMNS = 118
_EVENTS = 14
_TIME = re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]+Z \[")
# A file that asks a server for its letters would be no picture of its own.
_FOREIGN = re.compile(r"@font-face \{[^}]*\}|<!--.*?-->", re.DOTALL)


def main() -> int:
    """Run the demo and draw it."""
    argv = [sys.executable, "-m", "dev.demo", "--seconds", "15"]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
    _FILE.write_text(picture(done.stdout.splitlines()))
    print(_FILE.name)
    return 0


def picture(lines: list[str]) -> str:
    """The lines of a run, as an SVG."""
    console = Console(record=True, width=_COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text("$ make demo", style="bold green"))
    events = 0
    for line in lines:
        text = Text(line)
        if _TIME.match(line):
            text.stylize("dim")
        elif line[:1].isdigit():
            text.stylize("bold")
        else:
            events += 1
            if events > _EVENTS:
                continue
            JSONHighlighter().highlight(text)
        console.print(text, no_wrap=True, overflow="ellipsis")
    if events < _EVENTS:
        raise StackError(f"the demo showed {events} events only: is the machine busy?")
    return _FOREIGN.sub("", console.export_svg(title="make demo", unique_id="demo"))


if __name__ == "__main__":
    sys.exit(main())
