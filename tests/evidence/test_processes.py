"""Several processes on one ledger, and processes that die: no fork, no gap, nothing acknowledged is lost."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from consentkit.evidence.ledger import Ledger
from consentkit.evidence.record import disclosed, parse_record
from tests.evidence.samples import KEYS
from tests.evidence.test_ledger import check
from tests.support import ROOT

SEED = int(os.environ.get("CONSENTKIT_SEED", random.randrange(2**32)))


def start(url: str, count: int) -> subprocess.Popen[str]:
    """Start a process that appends two records `count` times (0: until killed) and prints what was acknowledged."""
    command = [sys.executable, "-m", "tests.evidence.writer", url, str(count)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def acknowledged(output: str) -> list[tuple[int, str]]:
    """Read what a writer printed; a line that was cut by its death does not count."""
    lines = [line.split() for line in output.splitlines(keepends=True) if line.endswith("\n")]
    return [(int(index), jwt) for index, jwt in lines]


def check_all(url: str, told: Iterable[tuple[int, str]]) -> int:
    """Check the log, its histories, and that every acknowledged record is in it as it was acknowledged."""
    chains: dict[str, list[int]] = {}
    with Ledger.open(url, keys=KEYS) as ledger:
        size = check(ledger)
        openings = {index: opening for index in range(size) if (opening := ledger.opening(index))}
    for index, jwt in told:
        assert openings[index].record == jwt
    for index in sorted(openings):
        claims = parse_record(openings[index].record).claims
        name = disclosed(claims, openings[index].disclosures)["history"]
        chains.setdefault(name, []).append(claims["sequence"])
    assert all(chain == list(range(len(chain))) for chain in chains.values())
    return size


def test_two_processes_append_to_one_log(url: str) -> None:
    """Dense, in one order, each record where its process was told it is."""
    writers = [start(url, 40) for _ in range(2)]
    told = [pair for writer in writers for pair in acknowledged(writer.communicate(timeout=60)[0])]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert sorted(index for index, _ in told) == list(range(2, 162))
    assert check_all(url, told) == 162


def kill_rounds(url: str, rounds: int, writers: int) -> int:
    """Kill writers with SIGKILL at random moments; returns how many records were acknowledged in all."""
    chance = random.Random(SEED)
    told: list[tuple[int, str]] = []
    for _ in range(rounds):
        running = [start(url, 0) for _ in range(writers)]
        for process in running:
            assert process.stdout is not None
            first = process.stdout.readline()  # it is up and running
            time.sleep(chance.uniform(0, 0.3))
            process.send_signal(signal.SIGKILL)
            # not communicate(), which skips what readline() has buffered
            told += acknowledged(first + process.stdout.read())
            process.stdout.close()
            process.wait(60)
        check_all(url, told)
    return len(told)


def test_an_acknowledged_record_survives_kill_9(url: str) -> None:
    """With identical content, in a log that verifies, round after round."""
    print("seed", SEED)
    assert kill_rounds(url, rounds=3, writers=1) > 0


@pytest.mark.slow
def test_acknowledged_records_survive_many_deaths_of_many_processes(url: str) -> None:
    """The same at length, with three processes writing at once."""
    print("seed", SEED)
    assert kill_rounds(url, rounds=25, writers=3) > 0


@pytest.mark.embedded
def test_a_process_that_dies_with_the_lock_does_not_keep_it(url: str, tmp_path: Path) -> None:
    """The kernel takes it back; the next writer goes on at once."""
    with Ledger.open(url, keys=KEYS):
        pass
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from consentkit.evidence.sqlite import SQLiteStore\n"
        "with SQLiteStore(Path(sys.argv[1])).lock():\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    dead = subprocess.run([sys.executable, "-c", code, str(tmp_path / "consent.db")], check=False, timeout=30)
    assert dead.returncode == -signal.SIGKILL
    writer = start(url, 1)
    assert len(acknowledged(writer.communicate(timeout=30)[0])) == 2
