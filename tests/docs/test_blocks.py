"""Every block of README.md and docs/ is run, or checked, as it stands there; what cannot be is listed, and why."""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from dev.stack import Stack
from producer import manual
from producer.cli import cli
from tests.docs.blocks import PAGES, ROOT, SHOWN, Block, blocks
from tests.docs.reader import Reader

NOT_RUN = {
    ("README.md", "make demo"): "tests/acceptance/test_demo.py runs it",
    ("README.md", "make test"): "it would run itself",
    ("README.md", "pip install ."): "tests/acceptance/test_install.py installs it, into an environment of its own",
    ("docs/downstream.md", "{"): "a connector of Kafka Connect: tests/downstream runs this very document",
    ("docs/performance.md", "python -m dev stop && DEV_KAFKA_FULL_JVM=1 python -m dev start"): "20 minutes; "
    "tests/acceptance/test_bench.py runs it in small",
    (
        "docs/plugins.md",
        "SELECT pg_snapshot_xmax(pg_current_snapshot());               -- X, once the publication is there",
    ): "X and L are the answers of the lines before; tests/acceptance/test_plugins.py does it",
    (
        "docs/plugins.md",
        "SELECT pg_copy_logical_replication_slot('producer_shop', 'producer_shop_pgoutput', false, 'pgoutput');",
    ): "the last of those steps: likewise",
    ("docs/security.md", "pip install pip-audit"): "asks a service on the network",
}
"""By page and a block's first line: why it is not run here. What is in neither table is run."""

ELSEWHERE = {
    "docker": "no container engine here; tests/unit/test_compose.py holds the quickstart to the compose file",
    **dict.fromkeys(("aws", "az", "gcloud", "heroku", "supabase"), "asks a cloud, with somebody's login"),
}
"""By program: why a block that begins with it is not run here."""


def commands_of(group: click.Group, before: str = "") -> dict[str, click.Command]:
    """The commands by their names, those of groups too."""
    found: dict[str, click.Command] = {}
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            found.update(commands_of(command, f"{before}{name} "))
        else:
            found[before + name] = command
    return found


def named(block: Block) -> tuple[str, str]:
    return block.page, block.first_line


def is_run(block: Block) -> bool:
    program = block.first_line.partition(" ")[0] if block.kind == "sh" else ""
    return block.kind not in SHOWN and named(block) not in NOT_RUN and program not in ELSEWHERE


def all_blocks() -> list[Block]:
    return [block for page in PAGES for block in blocks(page) if block.kind not in SHOWN]


def test_what_is_not_run_is_there() -> None:
    """A block that was changed or removed does not keep its excuse; a first line means one block."""
    names = [named(block) for block in all_blocks()]
    gone = NOT_RUN.keys() - names
    assert not gone, f"take these out of NOT_RUN, or name the blocks as they begin now: {gone}"
    doubled = {name for name in NOT_RUN if names.count(name) > 1}
    assert not doubled, f"several blocks of a page begin so: {doubled}"


def pages() -> list[Path]:
    """Those with something to run."""
    wanted = {block.page for block in all_blocks() if is_run(block)}
    return [page for page in PAGES if str(page.relative_to(ROOT)) in wanted]


@pytest.fixture(scope="session")
def postgres(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A server of the pages' own: they change its settings, and all of them name the same database."""
    made = Stack(tmp_path_factory.mktemp("docs") / "stack", stack.cache)
    made.start("postgres")
    yield made
    made.wipe()


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_the_page_works(page: Path, stack: Stack, postgres: Stack, tmp_path: Path) -> None:
    """Block by block, in its order, in one folder, as a reader would."""
    reader = Reader(tmp_path, stack, postgres, f"docs{secrets.token_hex(4)}")
    reader.begin()
    try:
        for block in blocks(page):
            if is_run(block):
                reader.follow(block)
    finally:
        reader.end()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("```python\nprint()\n```\n", "a block of `python`"),
        ("<!-- test: skip this -->\n```sh\ntrue\n```\n", "no test knows `skip`"),
        ("text\n\n    pg-producer run\n", "an indented block"),
    ],
)
def test_a_block_that_nobody_would_run_is_told_of(tmp_path: Path, text: str, words: str) -> None:
    """With its place, and what to do."""
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(AssertionError, match=f"page.md, line [13]: .*{words}"):
        blocks(page, tmp_path)


def test_a_page_speaks_to_the_test(tmp_path: Path) -> None:
    """By comments in front of a block, in a list too; they hold for that block only."""
    page = tmp_path / "page.md"
    page.write_text(
        "1. x\n\n   <!-- test: exit 3 -->\n   <!-- test: first CREATE ROLE r -->\n   ```sh\n   false\n   ```\n\n"
        '```toml\n# a.toml\nname = "x"\n```\n\n<!-- test: as text -->\n```json\n{}\n```\n'
    )
    first, second, third = blocks(page, tmp_path)
    assert (first.kind, first.text, first.exit_code, first.first) == ("sh", "false\n", 3, "CREATE ROLE r")
    assert (second.kind, second.file, second.exit_code) == ("toml", "a.toml", 0)
    assert third.kind == "text"


def test_every_command_that_is_named_is_one() -> None:
    """In the text, and below --help: the command and its options exist."""
    known = commands_of(cli)
    shown = manual.examples()
    for page in PAGES:
        shown += re.findall(r"`(pg-producer [^`]+)`", page.read_text())
    assert shown
    for line in shown:
        words = shlex.split(line.partition(" | ")[0].replace("…", ""))[1:]
        if words[0].startswith("--"):
            continue
        name = next((name for name in sorted(known, key=len, reverse=True) if " ".join(words).startswith(name)), None)
        assert name is not None, line
        options = {option for parameter in known[name].params for option in parameter.opts}
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= options, line


def test_every_command_has_examples_and_exit_codes() -> None:
    """Below its --help."""
    missing = commands_of(cli).keys() - manual.COMMANDS
    assert not missing, f"give them examples and exit codes in producer/manual.py: {missing}"


def test_every_page_is_in_the_index_and_every_link_leads_somewhere() -> None:
    """docs/README.md knows all pages; a link to a file of the repository is one."""
    index = (ROOT / "docs" / "README.md").read_text()
    linked = set(re.findall(r"\]\(([\w./-]+\.md)", index))
    missing = {page.name for page in PAGES if page.parent.name == "docs"} - linked - {"README.md"}
    assert not missing, f"say in docs/README.md what they answer: {missing}"
    for page in PAGES:
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)]*))?\)", page.read_text()):
            file = (page.parent / target).resolve() if target else page
            assert file.exists(), f"{page.name}: {target}"
            if anchor:
                titles = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
                anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
                assert anchor in anchors, f"{page.name}: {target}#{anchor}"
