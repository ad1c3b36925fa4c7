"""The recipe for several machines, followed to the letter: PostgreSQL, storage that speaks S3, a witness, an auditor."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from consentkit.audit import audit
from consentkit.cli.demo_check.page import parse_page
from consentkit.consent.cookie import parse_id
from consentkit.evidence.bucket import open_bucket
from consentkit.evidence.store import open_store
from consentkit.tlog import Checkpoint, TrustPolicy, VerifierKey, parse_note
from tests.interop.test_witnesses import Running, witnessing
from tests.interop.tools import Venv
from tests.object_store import CREDENTIALS, ObjectStore, serving
from tests.postgres_server import PostgresServer, programs, running
from tests.support import ROOT, Server, free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PAGE = (ROOT / "docs/deploy.md").read_text()
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
VISITORS = 12


def block(language: str, containing: str) -> str:
    """The block of the page that has this in it."""
    (found,) = [text for kind, text in FENCE.findall(PAGE) if kind == language and containing in text]
    return str(found)


class Operator:
    """Whoever follows the page, in a folder; `places` are what its names stand for here."""

    def __init__(self, folder: Path, places: Mapping[str, str]) -> None:
        self.folder, self.places = folder, dict(places)
        self.env = os.environ | CREDENTIALS | {"PYTHONUNBUFFERED": "1"}

    def text(self, written: str) -> str:
        """What is written, with the names exchanged, as the page says."""
        for name, here in self.places.items():
            written = written.replace(name, here)
        return written

    def run(self, containing: str, expected: int = 0) -> str:
        """Run the commands of a block; return what the last one printed."""
        printed = ""
        for line in self.text(block("console", containing)).splitlines():
            command = shlex.split(line.removeprefix("$ "))
            program = str(Path(sys.executable).with_name(command[0]))
            ran = subprocess.run(
                [program, *command[1:]], cwd=self.folder, env=self.env, capture_output=True, text=True, check=False
            )  # fmt: skip
            printed = ran.stdout + ran.stderr
            assert ran.returncode == expected, f"{line}\n{printed}"
        return printed


@pytest.fixture
def services(tmp_path: Path) -> Iterator[tuple[PostgresServer, ObjectStore]]:
    """A database server without anything of consentkit in it, and storage."""
    if (found := programs()) is None:
        pytest.skip("no PostgreSQL: set CONSENTKIT_PG_BIN to the folder of initdb and postgres")
    with running(found) as server, serving() as store:
        yield server, store


def in_browser(url: str, choose: str) -> int:
    """Visit the site, press a button of its banner, and return the index of what was recorded."""
    with httpx.Client(base_url=url, timeout=60, headers={"Sec-Fetch-Site": "same-origin"}) as browser:
        form = parse_page(browser.get("/").text).form("/consent/decision", choose)
        answer = browser.post(form.action, data=form.fields | {"control": choose})
        assert answer.status_code == 303, answer.text
        found = parse_id(browser.cookies["consent-id"])
        assert found is not None
        return found.index


def set_up(operator: Operator, server: PostgresServer, witness: Callable[[VerifierKey], Running]) -> str:
    """Steps 1 to 5; returns the file of the site."""
    operator.run("keys new")
    sql = block("sql", "CREATE ROLE")
    with server.connect() as administrator:
        for command in sql.split(";"):
            if command.strip():
                administrator.execute(command.encode())
    trust = operator.folder / "keys/trust.txt"
    *log, last = trust.read_text().splitlines()
    made = witness(TrustPolicy.parse(trust.read_text()).logs[0].key)
    operator.places["https://witness.example"] = made.url
    operator.places["witness.example/one+73cf7f05+BB6h3B1PMNWrOQaGM0K2hPKcPmA5ITj9CvPh61o1jmRq"] = str(
        made.key
    )
    assert last.startswith("quorum")
    trust.write_text("\n".join(log) + "\n" + operator.text(block("text", "quorum one")))
    return operator.text(block("python", "ConsentMiddleware"))


def machine(operator: Operator, folder: Path, news: str) -> Server:
    """Start the site on one more machine, which has the keys, the policy and the file."""
    shutil.copytree(operator.folder / "keys", folder / "keys")
    shutil.copy(ROOT / "examples/policies/small-blog.json", folder / "policy.json")
    (folder / "news.py").write_text(news)
    port = free_port()
    _, *arguments = shlex.split(block("text", "uvicorn news:app"))
    arguments[arguments.index("--host") + 1] = "127.0.0.1"
    arguments[arguments.index("--port") + 1] = str(port)
    arguments[arguments.index("--workers") + 1] = "2"
    paths = os.pathsep.join(path for path in sys.path if path)
    command = [
        "/bin/sh",
        "-c",
        'cd "$0" && exec "$@"',
        str(folder),
        sys.executable,
        "-m",
        "uvicorn",
        *arguments,
    ]
    return Server(command, port, folder / "log", {**operator.env, "PYTHONPATH": paths}).wait_ready()


def size_of(note: bytes) -> int:
    return Checkpoint.parse(parse_note(note)[0]).size


def test_the_recipe_works_as_written(
    services: tuple[PostgresServer, ObjectStore], c2sp: Venv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two machines, each decision once, in one log that is published, cosigned, audited, and erased from."""
    server, store = services
    (folder := tmp_path / "operator").mkdir()
    (tmp_path / "marks").mkdir()
    database = f"postgresql://consent@/consent?host={server.folder}&ledger=news_2027"
    operator = Operator(
        folder,
        {
            "postgresql://consent@db.example/consent?sslmode=verify-full&ledger=news_2027": database,
            "s3://news-log/consent": store.url("news-log", "consent"),
            "file:///srv/marks": (tmp_path / "marks").as_uri(),
        },
    )
    with ExitStack() as stack:
        news = set_up(operator, server, lambda key: stack.enter_context(witnessing(c2sp, tmp_path, key)))
        machines = []
        for number in range(2):
            (place := tmp_path / f"machine{number}").mkdir()
            machines.append(machine(operator, place, news))
            stack.callback(machines[-1].stop)
        with ThreadPoolExecutor(4) as pool:
            told = list(pool.map(lambda n: in_browser(machines[n % 2].url, "accept"), range(VISITORS)))
        assert sorted(told) == list(range(min(told), min(told) + VISITORS))
        operator.run("consentkit audit pack")
        trust = TrustPolicy.parse((folder / "keys/trust.txt").read_text())
        report = audit(folder / "pack", trust)
        assert report.exit_code == 0
        assert next(check for check in report.checks if check.id == "witnesses").outcome == "passed"

        erase(operator, database, min(told))
        operator.run("consentkit audit pack")
        report = audit(folder / "pack", trust)
        assert report.exit_code == 0

        for one in machines:
            assert one.stop() == 0, one.output
            assert "Traceback" not in one.output
    packed = size_of((folder / "pack/log/checkpoint").read_bytes())
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    found = open_bucket(operator.places["s3://news-log/consent"]).read("checkpoint")
    assert found is not None
    published = size_of(found.data)
    assert max(told) < published <= packed
    mark = next((tmp_path / "marks").rglob("checkpoint")).read_bytes()
    assert max(told) < size_of(mark) <= packed


def erase(operator: Operator, database: str, index: int) -> None:
    """Step 8 for the person behind an entry."""
    store = open_store(database, read_only=True)
    with store.view() as view:
        connection = store._connect()  # type: ignore[attr-defined]
        (name,) = connection.execute("SELECT history FROM opening WHERE idx = %s", (index,)).fetchone()
        assert next(view.openings(index, index + 1), None) is not None
    operator.places["-- c2FtcGxlIGhpc3RvcnkgIQ"] = f"-- {name}"
    operator.run("ledger history")
    with store.view() as view:
        assert next(view.openings(index, index + 1), None) is None
    store.release()
