"""Faults of the embedded store: processes that die, disks that fail, and power that is cut."""

from __future__ import annotations

import errno
import os
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice, product
from pathlib import Path
from typing import TypeVar

from tests.faults.disk import Disk, ext4, unmountable
from tests.faults.history import Seen
from tests.faults.strace import Traced, untraceable
from tests.faults.table import Row, Scenario
from tests.faults.writer import UNOPENED
from tests.faults.writers import Writers, wait_until

SEED = int(os.environ.get("CONSENTKIT_SEED", random.randrange(2**32)))
STEPS = ("pwrite64", "fdatasync", "fsync", "ftruncate", "unlink", "openat", "flock")
_JUDGED_EVERY = 10
_CHUNK = bytes(1 << 16)

T = TypeVar("T")


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ckfault") as folder:
        yield Path(folder).resolve()


def kill_writers(url: str, row: Row, rounds: int, number: int, mode: str = "") -> None:
    """Kill one writer after the other while the rest goes on, and now and then all of them at once."""
    chance, seen = random.Random(SEED), Seen()
    while row.rounds < rounds:
        with Writers(url, seen, number, mode=mode) as writers:
            writers.wait_for(1)
            for _ in range(min(_JUDGED_EVERY, rounds - row.rounds)):
                time.sleep(chance.uniform(0, 0.3))
                row.fired += writers.replace(chance.randrange(number))
                row.rounds += 1
            row.fired += writers.kill()
        acknowledged = row.acknowledged
        row.judge(seen, url)
        row.acknowledged -= acknowledged  # the same ledger, judged again


def kill_loop(row: Row, rounds: int, mode: str = "") -> None:
    """SIGKILL, with three writers on one file."""
    with _folder() as folder:
        kill_writers(f"sqlite:///{folder}/consent.db", row, rounds, 3, mode)


def crash_at_steps(row: Row, rounds: int) -> None:
    """Kill a writer before one I/O step after the other: while it makes the ledger, and while it goes on with one."""
    plan = {}
    for fresh in (True, False):
        with _folder() as folder:
            path = _ledger(folder, fresh)
            counts = Traced(path, Seen(), STEPS).counts
        plan |= {(fresh, call, n): None for call, most in counts.items() for n in range(1, most + 1)}
    for fresh, call, n in _spread(sorted(plan), rounds):
        with _folder() as folder:
            path, seen = _ledger(folder, fresh), Seen()
            traced = Traced(path, seen, [call], inject=f"{call}:signal=KILL:when={n}")
            row.rounds += 1
            row.fired += traced.code == -9
            _no_accident(row, traced, {0, -9})
            row.judge(seen, f"sqlite:///{path}")


def failing(calls: tuple[str, ...], error: str, row: Row, rounds: int) -> None:
    """Let calls fail: one, three in a row, or all from one on."""
    with _folder() as folder:
        counts = Traced(_ledger(folder, fresh=True), Seen(), calls).counts
    places = [(call, n) for call in calls for n in range(1, counts.get(call, 0) + 1)]
    for (call, n), many in _spread(list(product(places, ("", "..{}", "+"))), rounds):
        with _folder() as folder:
            path, seen = _ledger(folder, fresh=True), Seen()
            when = f"{n}{many.format(n + 2)}"
            traced = Traced(path, seen, [call], inject=f"{call}:error={error}:when={when}", bursts=5)
            row.rounds += 1
            row.fired += traced.injected
            _no_accident(row, traced, {0, UNOPENED})
            row.judge(seen, f"sqlite:///{path}")


def _ledger(folder: Path, fresh: bool) -> Path:
    path = folder / "consent.db"
    if not fresh:
        Traced(path, Seen(), ["unlink"])
    return path


def _no_accident(row: Row, traced: Traced, codes: set[int]) -> None:
    if traced.code not in codes:
        row.wrong.append(f"a writer ended with {traced.code}: {traced.complaints[-1500:]}")


def _spread(items: list[T], most: int) -> Iterator[T]:
    """Yield at most so many items, evenly spread, and not the same ones every time."""
    step = max(1, -(-len(items) // most))
    return islice(items, random.Random(SEED).randrange(step), None, step)


def fill(folder: Path) -> Path:
    """Leave no room on a disk; returns the file that takes it all."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (len(_CHUNK), 4096, 1):
            try:
                while True:
                    file.write(_CHUNK[:size])
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
    return ballast


def full_disk(row: Row, rounds: int) -> None:
    """Fill the disk under two writers until they fail, make room again, and see them go on by themselves."""
    with ext4(32) as disk:
        seen, url = Seen(), f"sqlite:///{disk.folder}/consent.db"
        with Writers(url, seen, 2) as writers:
            for _ in range(rounds):
                writers.wait_for(5)
                ballast = fill(disk.folder)
                _wait_for_failure(seen, "disk is full")
                ballast.unlink()
                row.rounds += 1
                row.fired += 1
                writers.wait_for(20)
        row.judge(seen, url)


def lost_writes(row: Row, rounds: int) -> None:
    """Let the device fail under two writers, and recover; see them go on by themselves, and then cut the power.

    A failed fsync tells that something is not on disk, once; the kernel goes on showing it (fsync(2)).
    """
    for _ in range(rounds):
        with ext4(64) as disk:
            disk.take_near_end()
            seen, url = Seen(), f"sqlite:///{disk.folder}/consent.db"
            with Writers(url, seen, 2) as writers:
                writers.wait_for(20)
                disk.fail(True)
                _wait_for_failure(seen, "I/O error")
                disk.fail(False)
                row.rounds += 1
                row.fired += 1
                writers.wait_for(20)
                cut_power(disk, seen, row)
            _start_again(disk, seen, url, row)


def _wait_for_failure(seen: Seen, why: str) -> None:
    before = _count(seen, why)
    wait_until(lambda: _count(seen, why) > before, f"failure for {why!r}")


def _count(seen: Seen, why: str) -> int:
    return sum(count for text, count in list(seen.failed.items()) if why in text)


def power_cut(row: Row, rounds: int, mode: str = "") -> None:
    """Cut the power under two writers, start again and look."""
    chance = random.Random(SEED)
    for _ in range(rounds):
        with ext4(64) as disk:
            seen, url = Seen(), f"sqlite:///{disk.folder}/consent.db"
            with Writers(url, seen, 2, mode=mode) as writers:
                writers.wait_for(10)
                time.sleep(chance.uniform(0, 0.3))
                row.rounds += 1
                row.fired += cut_power(disk, seen, row)
            _start_again(disk, seen, url, row)


def failed_sync(row: Row, rounds: int) -> None:
    """Let fdatasync fail although what was written may get to the disk later, and cut the power soon afterwards."""
    for n in range(rounds):
        with ext4(32) as disk:
            path, seen = _ledger(disk.folder, fresh=False), Seen()
            url = f"sqlite:///{path}"
            with Writers(url, seen, 1, mode="idle"):  # so that the write-ahead log stays
                wait_until(lambda seen=seen: seen.heads, "open ledger")
                inject = (
                    f"fdatasync:error=EIO:when={3 + n % 2}"  # the first two are for the log's head and name
                )
                traced = Traced(path, seen, ["fdatasync"], inject=inject, bursts=1)
                _no_accident(row, traced, {0})
                row.rounds += 1
                row.fired += traced.injected
                cut_power(disk, seen, row)
            _start_again(disk, seen, url, row)


def cut_power(disk: Disk, seen: Seen, row: Row) -> bool:
    """Cut the power; what is told from then on would have been heard by nobody.

    An fdatasync that is under way as ext4 shuts down may return success although the journal never got that far.
    None that begins later does.
    """
    seen.stop()
    disk.cut_power()
    off = time.monotonic_ns()
    time.sleep(0.1)
    row.wrong += [
        f"record {ack.marker} was acknowledged without a disk" for ack in seen.late if ack.begun > off
    ]
    return True


def _start_again(disk: Disk, seen: Seen, url: str, row: Row) -> None:
    disk.unmount()
    disk.mount()
    row.judge(seen, url)


SCENARIOS = (
    Scenario("kill -9, three writers", kill_loop, slow=60, quick=4),
    Scenario("kill -9, refusals in the spool", partial(kill_loop, mode="spooling"), slow=30, quick=2),
    Scenario("kill -9 before an I/O step", crash_at_steps, slow=120, quick=3, impossible=untraceable),
    *(
        Scenario(f"{what} ({code}, strace)", partial(failing, calls, code), slow, quick, impossible=untraceable)
        for what, calls, code, slow, quick in (
            ("error on write", ("pwrite64",), "EIO", 30, 1),
            ("full disk on write", ("pwrite64",), "ENOSPC", 30, 1),
            ("error on fsync", ("fdatasync", "fsync"), "EIO", 30, 1),
            ("full disk on fsync", ("fdatasync", "fsync"), "ENOSPC", 20, 0),
            ("error on read", ("pread64",), "EIO", 20, 0),
            ("error on open, cut, remove", ("openat", "ftruncate", "unlink"), "EIO", 30, 0),
            ("error on the lock", ("flock",), "ENOLCK", 30, 0),
        )
    ),
    Scenario("full disk (ext4)", full_disk, slow=5, impossible=unmountable),
    Scenario("writes that the device loses, then power cut", lost_writes, slow=4, impossible=unmountable),
    Scenario(
        "fsync fails (EIO), then power cut", failed_sync, slow=8,
        impossible=lambda: untraceable() or unmountable(),
    ),
    Scenario("power cut (ext4)", power_cut, slow=12, impossible=unmountable),
    Scenario(
        "power cut, refusals in the spool", partial(power_cut, mode="spooling"), slow=8, impossible=unmountable
    ),
    Scenario(
        "power cut, synchronous=NORMAL", partial(power_cut, mode="lax"), slow=2, must_lose=True,
        impossible=unmountable,
    ),
)  # fmt: skip
