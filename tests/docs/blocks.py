"""The fenced blocks of README.md and docs/, and what a comment in front of one says of it.

A comment `<!-- test: WORDS -->` may stand in front of a block, or several:

    file NAME        it is written as that file, into the page's folder (a `# NAME` as its first line says the same)
    exit CODE        it ends with this exit code, not 0
    first SQL        this SQL is run before it
    as KIND          it is taken for one of KINDS, whatever language it is shown in
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

KINDS = frozenset({"sh", "sql", "toml", "json", "properties", "yaml"})
"""What is run or checked."""
SHOWN = frozenset({"", "text"})
"""What is only to be read: output, a picture in letters."""
_WORDS = frozenset({"file", "exit", "first", "as"})
_COMMENT = re.compile(r"<!--\s*test:\s*(\w+)\s+(.*?)\s*-->", re.DOTALL)
_NAMED = re.compile(r"# ([\w.-]+\.(?:toml|properties|ya?ml|json))\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block."""

    page: str
    line: int
    kind: str
    text: str
    file: str | None = None
    exit_code: int = 0
    first: str = ""

    @property
    def where(self) -> str:
        """For a message."""
        return f"{self.page}, line {self.line}"

    @property
    def first_line(self) -> str:
        """By which the table of what is not run names it."""
        return self.text.partition("\n")[0].strip()


def blocks(page: Path, root: Path = ROOT) -> list[Block]:
    """All of a page, in its order.

    Raises:
        AssertionError: a block or a comment that nobody would understand; it says what to do.
    """
    name = str(page.relative_to(root))
    found: list[Block] = []
    said: dict[str, str] = {}
    for token in MarkdownIt("commonmark").parse(page.read_text()):
        line = (token.map or [0])[0] + 1
        if token.type == "html_block":
            for word, rest in _COMMENT.findall(token.content):
                assert word in _WORDS, (
                    f"{name}, line {line}: no test knows `{word}`: {', '.join(sorted(_WORDS))} are known"
                )
                said[word] = rest
        elif token.type == "fence":
            found.append(_block(name, line, token.info.strip().partition(" ")[0], token.content, said))
            said = {}
        elif token.type == "code_block":
            raise AssertionError(f"{name}, line {line}: an indented block: fence it with ``` and its language")
    return found


def _block(page: str, line: int, language: str, text: str, said: dict[str, str]) -> Block:
    kind = said.get("as", language)
    assert kind in KINDS | SHOWN, (
        f"{page}, line {line}: a block of `{kind}`: tests run {', '.join(sorted(KINDS))}; what is only to be read "
        "(output, a sketch) is `text`"
    )
    named = _NAMED.match(text)
    return Block(
        page=page, line=line, kind=kind, text=text, file=said.get("file", named.group(1) if named else None),
        exit_code=int(said.get("exit", "0")), first=said.get("first", ""),
    )  # fmt: skip
