"""Every example in the README and in docs/ runs, top to bottom, as a reader would follow it.

A document's examples share one namespace and one empty folder. ```` ```json NAME ```` blocks are saved as NAME;
lines that begin with ``$ consentkit`` in console blocks are run and must exit as a comment ``# exits N`` says, else
with 0; Python blocks are run. Unless the document makes its own, ``policy.json`` and ``keys/`` are there already.
An ``app`` that a document ends with must answer a page with the banner in it.
"""

import asyncio
import re
import shlex
import subprocess
import sys
from inspect import iscoroutinefunction
from pathlib import Path

import click
import httpx
import pytest
from sybil import Document, Example, Sybil
from sybil.parsers.myst import CodeBlockParser, PythonCodeBlockParser, SkipParser

from consentkit import ConsentManager
from consentkit.cli.root import app
from consentkit.keys import write_keys
from tests.support import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
COMMAND = re.compile(r"^\$ consentkit (?P<arguments>[^#\n]*)(?:# exits (?P<code>\d))?", re.MULTILINE)
RUNS_FOR_EVER = re.compile(r"^demo\b(?!.*--check)")


def run_commands(example: Example) -> None:
    """Run the ``$ consentkit ...`` lines of a console block; a server that never ends is only asked for help."""
    for line in COMMAND.finditer(example.parsed):
        arguments = "demo --help" if RUNS_FOR_EVER.match(line["arguments"]) else line["arguments"]
        command = [str(Path(sys.executable).with_name("consentkit")), *shlex.split(arguments)]
        run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
        assert run.returncode == int(line["code"] or 0), f"{line[0]}\n{run.stdout}{run.stderr}"


def save_as(name: str) -> CodeBlockParser:
    """Return a parser that saves ```` ```json NAME ```` blocks in the reader's folder."""

    def save(example: Example) -> None:
        Path(name).write_text(example.parsed, encoding="utf-8")

    return CodeBlockParser(f"json {name}", save)


SYBIL = Sybil(
    parsers=[
        PythonCodeBlockParser(),
        CodeBlockParser("console", run_commands),
        save_as("policy.json"),
        SkipParser(),
    ],
    patterns=["*.md"],
)


def prepare(folder: Path, text: str) -> None:
    """Lay out what a document takes for granted."""
    if "```json policy.json" not in text:
        (folder / "policy.json").write_bytes((ROOT / "examples/policies/small-blog.json").read_bytes())
    if "keys new keys" not in text:
        write_keys(folder / "keys", "blog.example/consent")


def visit(site: object) -> httpx.Response:
    """Return what a new visitor gets from ``site``, which may be ASGI or WSGI."""
    if not (iscoroutinefunction(site) or iscoroutinefunction(type(site).__call__)):
        with httpx.Client(transport=httpx.WSGITransport(app=site), base_url="https://blog.example") as client:
            return client.get("/")

    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(app=site)
        async with httpx.AsyncClient(transport=transport, base_url="https://blog.example") as client:
            return await client.get("/")

    return asyncio.run(get())


def run_through(document: Document) -> None:
    """Evaluate a document's examples in order, then visit the application that it built."""
    try:
        for example in document.examples():
            example.evaluate()
        if site := document.namespace.get("app"):
            page = visit(site)
            assert page.status_code == 200
            assert "/consent" in page.text
    finally:
        for value in list(document.namespace.values()):
            if isinstance(value, ConsentManager):
                value.close()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_does_what_it_says(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Following a document from top to bottom works."""
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path, path.read_text(encoding="utf-8"))
    run_through(SYBIL.parse(path))


def test_the_readme_has_examples_to_run() -> None:
    """The check above sees the README's examples, so it can fail."""
    assert len(list(SYBIL.parse(ROOT / "README.md").examples())) >= 5


def test_the_readme_names_every_command() -> None:
    """The table of commands lists what the program has, no more and no less."""
    table = re.findall(
        r"^\| `consentkit ([a-z ]+?)(?: [A-Z-].*)?` \|", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    assert sorted(table) == sorted(all_commands(app))


def test_every_event_is_explained() -> None:
    """A hook's author looks for its name there."""
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "src").glob("**/*.py")]
    named = {name for source in sources for name in re.findall(r'emit\("([^"{]+)"', source)}
    table = (ROOT / "docs/events.md").read_text(encoding="utf-8").partition("## The log")[0]
    told = {
        name
        for row in table.splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`([a-z]+\.[a-z_]+)`", row)
    }
    assert len(named) >= 10
    assert named <= told
    written = "".join(sources)
    assert not [n for n in told if f'"{n}"' not in written and f'"{n.partition(".")[0]}.{{' not in written]


def all_commands(group: click.Group, prefix: str = "") -> list[str]:
    """Return the full names of the commands below ``group``."""
    context = click.Context(group)
    names = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        full = f"{prefix}{name}"
        names += all_commands(command, f"{full} ") if isinstance(command, click.Group) else [full]
    return names
