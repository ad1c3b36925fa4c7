"""A ledger on PostgreSQL erases, holds and expires as one in a file does; and what is left on the server's disk."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from consentkit.evidence.batch import Once
from consentkit.evidence.ledger import Ledger
from tests.evidence import test_erasure
from tests.evidence.samples import KEYS, NOW, draft, history
from tests.evidence.test_erasure import forms, secrets_of
from tests.postgres.reuse import reused
from tests.postgres_server import PostgresServer, programs, running
from tests.support import ROOT, Clock

globals().update(reused(test_erasure))

Wanted = dict[tuple[int, str], bytes]


@pytest.fixture
def cluster() -> Iterator[PostgresServer]:
    """A server for one test alone, since all of its files are searched."""
    if (found := programs()) is None:
        pytest.skip("no PostgreSQL: set CONSENTKIT_PG_BIN to the folder of initdb and postgres")
    with running(found) as server:
        yield server


def found_in(folder: Path, wanted: Wanted) -> set[tuple[int, str]]:
    """What is found, in any form, in any file: tables, indexes, write-ahead log, statistics, the server's own log."""
    found: set[tuple[int, str]] = set()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and (data := path.read_bytes()).strip(b"\0"):
            found |= {
                what
                for what, secret in wanted.items()
                if what not in found and any(form in data for form in forms(secret))
            }
    return found


def commands(schema: str) -> list[str]:
    """What the documentation tells an administrator to run."""
    text = (ROOT / "docs/postgresql.md").read_text()
    (block,) = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    return [line.rstrip(";") for line in block.replace("shop_2027", schema).splitlines()]


def test_no_file_of_the_server_has_a_byte_of_what_was_erased(cluster: PostgresServer, clock: Clock) -> None:
    """After the commands of the documentation; before them, the search finds what vacuuming leaves."""
    url = cluster.url("shop")
    names = [history() for _ in range(30)]
    with Ledger.open(url, keys=KEYS, clock=clock) as ledger:
        once = [Once(bytes([n]) * 32, bytes([n + 100]) * 32, NOW + 86_400_000) for n in range(len(names))]
        for name, key in zip(names, once, strict=True):
            ledger.append(draft(history=name), key)
        victims = (4, 17)
        wanted: Wanted = {}
        for number in victims:
            (appended,) = ledger.history(names[number])
            told = secrets_of(appended.opening, names[number])
            told |= {"request": once[number].key, "answer": once[number].digest}
            wanted |= {(number, what): secret for what, secret in told.items()}
        with cluster.connect() as sure:
            sure.execute("ANALYZE")
            sure.execute("CHECKPOINT")
            there = {key for key in wanted if key[1] != "raw pseudonym"}
            assert found_in(cluster.folder, wanted) >= there, "the search finds what is there"
            for number in victims:
                assert ledger.erase(names[number], "request")
            sure.execute("CHECKPOINT")
            assert found_in(cluster.folder, wanted), "vacuuming alone leaves it on the disk"
            for command in commands("shop"):
                sure.execute(command.encode())
        assert found_in(cluster.folder, wanted) == set()
        assert len(ledger.history(names[5])) == 1
