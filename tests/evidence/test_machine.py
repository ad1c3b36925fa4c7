"""Anything that can be done to a ledger, in any order: what was acknowledged is there, once, or its tombstone is."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
)

from consentkit.audit import audit
from consentkit.errors import LedgerError, LedgerRolledBack
from consentkit.evidence import Appended
from consentkit.evidence.ledger import Ledger
from consentkit.evidence.receipt import verify_receipt
from consentkit.tlog import Checkpoint, check_consistency, parse_note, prove_consistency
from tests.evidence.samples import KEYS, TRUST, history
from tests.evidence.test_draining import away
from tests.faults.history import NOTICE, POLICY, decision
from tests.support import Clock

DAY = 86_400_000


class LedgerMachine(RuleBasedStateMachine):
    """A ledger on disk beside a model of it: what was acknowledged, by history, and what has become of it."""

    visitors = Bundle("visitors")
    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="ckmachine"))
        (self.folder / "marks").mkdir()
        self.clock = Clock()
        self.generation = 0
        self.there: dict[str, list[Appended]] = {}
        self.waiting: dict[str, list[str]] = {}
        self.gone: set[int] = set()
        self.held: dict[str, set[int]] = {}
        self.heads: dict[int, bytes] = {}
        self.backup: tuple[Path, int] | None = None
        self.ledger = self.opened()

    @property
    def path(self) -> Path:
        """Where the ledger is by now."""
        return self.folder / f"{self.generation}" / "consent.db"

    def opened(self) -> Ledger:
        """Open it."""
        self.path.parent.mkdir(exist_ok=True)
        ledger = Ledger.open(
            f"sqlite:///{self.path}", keys=KEYS, clock=self.clock, high_water=f"file://{self.folder}/marks"
        )
        ledger.publish_policy(POLICY)
        ledger.publish_notice(NOTICE)
        self.settle(ledger)
        return ledger

    def settle(self, ledger: Ledger) -> None:
        """What waited in the spool is in the log once somebody has written to it."""
        for name, markers in self.waiting.items():
            found = {one.record.claims["extra"]["marker"]: one for one in ledger.history(name)}
            assert set(markers) <= found.keys()
            known = {one.index for one in self.there.setdefault(name, [])}
            self.there[name] += [one for one in found.values() if one.index not in known]
        self.waiting.clear()

    def draft(self, name: str, **changes: Any) -> Any:
        """A decision with a mark of its own."""
        self.count = getattr(self, "count", 0) + 1
        return decision(f"mark {self.count}", history=name, **changes)

    @initialize(target=visitors)
    def first(self) -> str:
        """There is a visitor."""
        return history()

    @rule(target=visitors)
    def arrive(self) -> str:
        """Somebody new comes."""
        return history()

    @rule(names=st.lists(visitors, min_size=1, max_size=6))
    def decide(self, names: list[str]) -> None:
        """Several decide at once."""
        futures = [(name, self.ledger.submit(self.draft(name))) for name in names]
        for name, future in futures:
            self.there.setdefault(name, []).append(future.result())
        self.settle(self.ledger)

    @rule(name=visitors)
    def refuse_while_away(self, name: str) -> None:
        """The store is away, and the refusal waits."""
        draft = self.draft(name, event="refused")
        with away(self.ledger):
            self.ledger.spool(draft)
        self.waiting.setdefault(name, []).append(draft.extra["marker"])

    @rule(name=visitors)
    def erase(self, name: str) -> None:
        """All of a visitor's records go, unless one is held."""
        self.ledger.append(self.draft(history()))  # whatever waited is in the log by now
        self.settle(self.ledger)
        mine = {one.index for one in self.there.get(name, [])}
        if mine & set().union(*self.held.values(), set()):
            with pytest.raises(LedgerError, match="hold"):
                self.ledger.erase(name, "gdpr-17-1-b")
            return
        assert set(self.ledger.erase(name, "gdpr-17-1-b")) == mine
        self.gone |= mine
        self.there.pop(name, None)

    @rule(target=holds, name=visitors)
    def hold(self, name: str) -> str:
        """A court wants to see them."""
        self.ledger.append(self.draft(name))
        self.settle(self.ledger)
        self.there[name] = list(self.ledger.history(name))
        case = f"case-{len(self.held)}-{self.count}"
        self.held[case] = set(self.ledger.hold(case, name))
        assert self.held[case] == {one.index for one in self.there[name]}
        return case

    @rule(case=consumes(holds))
    def release(self, case: str) -> None:
        """It is over."""
        self.ledger.release(case)
        self.held[case] = set()

    @rule(days=st.integers(0, 3))
    def expire(self, days: int) -> None:
        """What is old enough goes, but for what is held."""
        self.ledger.append(
            self.draft(history())
        )  # whatever waited is in the log by now, and may be old enough
        self.settle(self.ledger)
        before = self.clock() - days * DAY
        first = self.ledger.retain(before)
        if first is None:
            return
        kept = set().union(*self.held.values(), set())
        for name, records in self.there.items():
            dropped = {one.index for one in records if one.index < first and one.index not in kept}
            self.gone |= dropped
            self.there[name] = [one for one in records if one.index not in dropped]

    @rule(days=st.integers(0, 2))
    def wait(self, days: int) -> None:
        """Time passes."""
        self.clock.advance(days * DAY + 1)

    @rule()
    def reopen(self) -> None:
        """An orderly end and a new start."""
        self.ledger.close()
        self.ledger = self.opened()

    @rule()
    def crash(self) -> None:
        """The process dies: what the files say at this moment is all there is."""
        old, marks = self.path.parent, self.folder / "marks"
        with self.ledger._gate:  # between two writes, of whichever thread
            files = [(path, path.read_bytes()) for path in old.rglob("*") if path.is_file()]
            mark = [(path, path.read_bytes()) for path in marks.rglob("*") if path.is_file()]
        self.ledger.close()
        self.generation += 1
        for path, data in files:
            target = self.path.parent / path.relative_to(old)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        for path, data in mark:
            path.write_bytes(data)
        self.ledger = self.opened()

    @rule()
    def back_up(self) -> None:
        """Somebody keeps a copy."""
        self.ledger.close()
        copy = self.folder / f"backup-{self.generation}.db"
        shutil.copyfile(self.path, copy)
        self.ledger = self.opened()
        self.backup = copy, self.ledger.size

    @precondition(lambda self: self.backup is not None)
    @rule()
    def restore(self) -> None:
        """An old copy is refused."""
        assert self.backup is not None
        if self.ledger.size == self.backup[1]:
            return  # not that old
        self.ledger.close()
        elsewhere = self.folder / "restored.db"
        shutil.copyfile(self.backup[0], elsewhere)
        with pytest.raises(LedgerRolledBack):
            Ledger.open(
                f"sqlite:///{elsewhere}",
                keys=KEYS,
                clock=self.clock,
                high_water=f"file://{self.folder}/marks",
            )
        elsewhere.unlink()
        self.ledger = self.opened()

    @rule()
    def be_audited(self) -> None:
        """An auditor gets a pack, and finds nothing; every receipt verifies."""
        pack = Path(tempfile.mkdtemp(prefix="pack", dir=self.folder))
        self.ledger.export(pack)
        report = audit(pack, TRUST)
        assert (report.exit_code, [str(finding) for finding in report.findings]) == (0, [])
        shutil.rmtree(pack)
        for records in self.there.values():
            for one in records[-1:]:
                receipt = self.ledger.receipt(one.index)
                assert receipt is not None
                verify_receipt(receipt.encode(), TRUST)

    @invariant()
    def what_was_acknowledged_is_there(self) -> None:
        """Once, with its content, at its place; and what is gone is gone."""
        for name, records in self.there.items():
            for one in records:
                opening = self.ledger.opening(one.index)
                assert opening == one.opening, f"entry {one.index} of {name}"
        for index in self.gone:
            assert self.ledger.opening(index) is None

    @invariant()
    def every_head_is_continued(self) -> None:
        """By all that came later."""
        note = self.ledger.checkpoint()
        new = Checkpoint.parse(parse_note(note)[0])
        with self.ledger._view() as view:
            from consentkit.evidence.hashes import StoredHashes

            read = StoredHashes(view)
            for size, old in self.heads.items():
                proof = prove_consistency(size, new.size, read)
                check_consistency(size, new.size, Checkpoint.parse(parse_note(old)[0]).root, new.root, proof)
        assert self.heads.setdefault(new.size, note) == note

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.ledger.close()
        shutil.rmtree(self.folder)


LedgerMachine.TestCase.settings = settings(max_examples=12, stateful_step_count=20, deadline=None)
TestLedger = LedgerMachine.TestCase


@pytest.mark.slow
@pytest.mark.timeout(900)
class TestLedgerAtLength(LedgerMachine.TestCase):
    """The same, for longer."""

    settings = settings(max_examples=25, stateful_step_count=50, deadline=None)
