"""Every example in the README and in docs/ runs, top to bottom, as a reader would follow it.

A document's examples share one namespace and one empty folder. ```` ```json NAME ```` blocks are saved as NAME;
lines that begin with ``$ consentkit`` in console blocks are run and must exit as a comment ``# exits N`` says, else
with 0; ``> NAME`` saves what they print, and the lines below them must be among it. Python blocks are run. Unless the document makes its own, ``policy.json`` and ``keys/`` are there already.
An ``app`` that a document ends with must answer a page with the banner in it.
"""

import asyncio
import importlib.util
import json
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
from consentkit._data import schema_text
from consentkit.banner import check
from consentkit.cli.root import app
from consentkit.keys import write_keys
from consentkit.policy import Policy
from tests.support import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
COMMAND = re.compile(
    r"^\$ consentkit (?P<arguments>[^#>\n]*)(?:> (?P<file>\S+))?(?:# exits (?P<code>\d))?.*\n(?P<told>(?:[^$\n].*\n|\n)*)",
    re.MULTILINE,
)
RUNS_FOR_EVER = re.compile(r"^demo\b(?!.*--check)")


def run_commands(example: Example) -> None:
    """Run the ``$ consentkit ...`` lines of a console block; a server that never ends is only asked for help."""
    for line in COMMAND.finditer(example.parsed):
        arguments = "demo --help" if RUNS_FOR_EVER.match(line["arguments"]) else line["arguments"]
        command = [str(Path(sys.executable).with_name("consentkit")), *shlex.split(arguments)]
        run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
        assert run.returncode == int(line["code"] or 0), f"{line[0]}\n{run.stdout}{run.stderr}"
        assert set(line["told"].splitlines()) <= {"", *run.stdout.splitlines(), *run.stderr.splitlines()}
        if line["file"]:
            Path(line["file"]).write_text(run.stdout, encoding="utf-8")


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


def test_what_a_document_says_a_command_prints_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that is not printed fails the document."""
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path, "")
    page = tmp_path / "page.md"
    for line, right in (("policy.json: valid", True), ("policy.json: wrong", False)):
        page.write_text(f"```console\n$ consentkit policy check policy.json\n{line}\n```\n")
        if right:
            run_through(SYBIL.parse(page))
        else:
            with pytest.raises(AssertionError):
                run_through(SYBIL.parse(page))


def test_the_reference_of_policies_lists_every_member() -> None:
    """It is made from the schema when the documentation is built: nothing is left out, and nothing made up."""
    spec = importlib.util.spec_from_file_location("policy_reference", ROOT / "docs/policy_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    schema = json.loads(schema_text("policy"))
    text = module.reference(schema)
    members = {name for one in (schema, *schema["$defs"].values()) for name in one.get("properties", ())}
    assert {name.strip("`") for name in re.findall(r"^\| (`[a-z_$-]+`)", text, re.MULTILINE)} == members
    assert set(re.findall(r"\]\(#([a-z-]+)\)", text)) <= set(
        re.findall(r"^\(([a-z-]+)\)=$", text, re.MULTILINE)
    )
    page = [(ROOT / "docs/policy.md").read_text()]
    module.write(None, "policy", page)
    assert text in page[0]
    with pytest.raises(ValueError, match="no line"):
        module.write(None, "policy", ["# Without it"])


def test_the_parts_of_the_example_are_a_policy() -> None:
    """What the page builds up piece by piece is valid when it is put together."""
    parts = re.findall(r"```json\n(.*?)```", (ROOT / "docs/policy.md").read_text(), re.DOTALL)
    document = {name: value for part in parts for name, value in json.loads(part).items()}
    assert len(parts) == 4
    assert check(Policy.from_dict(document)) == []
