"""The audit itself: the order in which a pack is looked at.

Two passes over the bundles, both in order and in bounded memory. The first rebuilds the tree and learns what the
log says about itself; the second opens every record, in parallel, and follows the histories.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path

from attrs import define, field

from consentkit.audit.files import check_files
from consentkit.audit.findings import Findings
from consentkit.audit.folder import Folder
from consentkit.audit.heads import Heads, check_consistency, read_heads
from consentkit.audit.histories import Histories, Times
from consentkit.audit.holds import check_holds
from consentkit.audit.openings import Job, Result, check_openings
from consentkit.audit.pack import Pack, bundle_path
from consentkit.audit.published import check_notices, check_policies
from consentkit.audit.report import AuditReport
from consentkit.audit.state import RECORD_PREFIX, Facts, LogState
from consentkit.audit.tree import Bundle, Tree, bundle_count, bundle_width, walk_tree
from consentkit.audit.verdict import Summary, make_report
from consentkit.evidence.entry import PredecessorEntry, entry_line
from consentkit.evidence.export import openings_path
from consentkit.evidence.store import Hold
from consentkit.tlog import NO_QUORUM, TILE_WIDTH, Checkpoint, TrustPolicy, decode_bundle

__all__ = ["Progress", "audit"]

_TOLD = 8
"""How many reasons for erasures, and how many holds, the report tells one by one."""

_AHEAD = 4
"""How many bundles a processor may have waiting; each takes at most what LIMITS allows for its openings."""
_RECORD_LINE_BYTES = len(entry_line(bytes(32))) + 1

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is in all."""


def audit(
    folder: str | os.PathLike[str],
    trust: TrustPolicy,
    *,
    previous: bytes | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> AuditReport:
    """Check the pack in `folder` against whom `trust` believes, and against nobody else.

    `previous` is a signed checkpoint that the auditor kept, which the log must extend. Signatures are verified
    on `executor`, by default a thread for each processor. `progress` is called now and then.

    Whatever the folder holds becomes findings of the report. Raises NotADirectoryError when there is no folder,
    and InvalidNote when `previous` is no checkpoint of a trusted log.
    """
    pack = Pack(Folder(Path(folder)), Findings())
    heads = read_heads(pack, trust, previous)
    run = _Audit(pack, heads, progress or _silent)
    run.summary.details["trust"] = _describe_trust(trust)
    if heads.newest is not None:
        with ExitStack() as stack:
            pool = executor or stack.enter_context(ThreadPoolExecutor(os.cpu_count()))
            run.check_log(heads.newest, pool)
    return make_report(trust, heads, pack.findings, run.summary)


def _silent(_what: str, _done: int, _total: int) -> None:
    """Show no progress."""


def _describe_trust(trust: TrustPolicy) -> str:
    logs = ", ".join(f"{key.name} (key {key.key_id.hex()})" for key in trust.log_keys)
    quorum = "no witness" if trust.quorum == NO_QUORUM else f"the quorum {trust.quorum}"
    return f"trusts {logs or 'no log'}; demands {quorum}"


@define
class _Audit:
    pack: Pack
    heads: Heads
    progress: Progress
    summary: Summary = field(factory=Summary)

    def check_log(self, newest: Checkpoint, executor: Executor) -> None:
        """Make every check that needs a signed checkpoint."""
        self._describe_heads(newest)
        state = LogState(self.pack.findings)
        tree = self._walk(newest, state)
        check_consistency(self.pack, self.heads, tree, self._predecessor(newest, state))
        facts = state.facts(newest.log_name, complete=not tree.lost)
        check_policies(self.pack, facts)
        check_notices(self.pack, facts)
        holds = check_holds(self.pack, state, facts)
        held: dict[int, set[int]] = {}
        for index in {index for hold in holds for index in hold.indexes}:
            held.setdefault(index // TILE_WIDTH, set()).add(index % TILE_WIDTH)
        self._check_records(_Second(self.pack, tree, state, facts, held), executor)
        files = check_files(self.pack, newest.size, facts, holds=bool(state.holds))
        self.summary.details |= {
            "tree": f"{tree.reached} of {tree.size} entries, {bundle_count(tree.reached)} bundles and their tiles",
            "keys": f"{len(facts.keys)} introduced by the log",
            "policies": f"{len(facts.policies)} published",
            "notices": f"{len(facts.notices)} published",
            "holds": _describe_holds(holds),
            "files": f"{files} in the folder",
        }

    def _describe_heads(self, newest: Checkpoint) -> None:
        quorum, previous, details = self.heads.quorum, self.heads.previous, self.summary.details
        if quorum is not None:
            details["checkpoint"] = f"{newest.log_name}, {newest.size} entries, root {newest.root.hex()}"
            if quorum.needed != NO_QUORUM:
                details["witnesses"] = (
                    f"needs {quorum.needed}; cosigned by {', '.join(quorum.found) or 'none'}"
                )
        if previous is not None:
            details["previous"] = f"extends the one of {previous.size} entries"
        details["checkpoints"] = f"{len(self.heads.past)} signed, each a beginning of the newest"

    def _predecessor(self, newest: Checkpoint, state: LogState) -> PredecessorEntry | None:
        """Return what the first entry says of an earlier log, having taken note of it."""
        if (before := state.predecessor) is None:
            return None
        if before.log_name == newest.log_name:
            path = bundle_path(0, bundle_width(newest.size, 0))
            self.pack.findings.add("predecessor-misplaced", "the log carries on after itself", path, 0)
            return None
        previous = self.heads.previous
        if previous is not None and previous.log_name == before.log_name:
            self.summary.details["previous"] = f"is where {before.log_name} ended, and this log carries on"
        self.summary.remarks.append(
            f"The {before.size} entries of {before.log_name}, after which this log carries on: that log has a pack"
            " of its own."
        )
        return before

    def _walk(self, newest: Checkpoint, state: LogState) -> Tree:
        sizes = set(self.heads.past) | ({self.heads.previous.size} if self.heads.previous else set())
        total = newest.size

        def visit(bundle: Bundle) -> None:
            state.take(bundle)
            self.progress("tree", bundle.number * TILE_WIDTH + len(bundle.entries), total)

        return walk_tree(self.pack, total, newest.root, sizes, visit)

    def _check_records(self, second: _Second, executor: Executor) -> None:
        histories, times = Histories(self.pack.findings), Times(self.pack.findings)
        counts: Counter[str] = Counter()
        for done, result in second.results(executor):
            self.pack.findings.merge(result.findings)
            histories.closed.update(result.closed)
            histories.gaps = second.changed or not second.facts.complete
            for link in result.links:
                histories.take(link)
                times.take(link)
            counts.update(opened=len(result.links), erased=result.erased, expired=result.expired)
            counts.update(unsure=result.unsure)
            self.progress("records", done, second.tree.size)
        self._sum_up(second.state, histories, counts)

    def _sum_up(self, state: LogState, histories: Histories, counts: Counter[str]) -> None:
        kinds = dict(sorted(state.kinds.items()))
        self.summary.entries |= kinds
        control = sum(kinds.values()) - kinds.get("record", 0)
        opened, erased, expired = counts["opened"], counts["erased"], counts["expired"]
        self.summary.details |= {
            "entries": f"{opened} opened, {erased} erased, {expired} expired, {control} control",
            "openings": f"{opened} open what the log committed to",
            "records": f"{opened} signed",
            "histories": f"{len(histories.tails)}, none with a record missing in the middle",
            "times": "no record dated long before an earlier one",
        }
        if counts["unsure"]:
            self.summary.remarks.append(
                f"Key, policy or notice of {counts['unsure']} records: entries that may introduce them are gone."
            )
        if erased or expired:
            self.summary.details["entries"] += f" ({'; '.join(_removals(state))})"
            self.summary.remarks.append(f"What {erased} erased and {expired} expired records said.")
        if histories.undisclosed:
            self.summary.remarks.append(
                f"Whose {histories.undisclosed} records are: the pack leaves that out."
            )


def _removals(state: LogState) -> Iterator[str]:
    """Say why and when records were erased, the most frequent first, and how far and when others expired."""
    for (reason, day), count in state.erasures.most_common(_TOLD):
        yield f"{count} erased for {reason}, {day}" if day else f"{count} erased for {reason}"
    if (more := len(state.erasures) - _TOLD) > 0:
        yield f"erased for {more} more reasons and days"
    if state.expiries:
        size = max(state.expiries)
        yield f"expired below {size}, {state.expiries[size]}"


def _describe_holds(holds: Sequence[Hold]) -> str:
    told = [f"{h.hold_id} in force on {len(h.indexes)} records" for h in holds if h.released is None]
    more = [f"{len(told) - _TOLD} more in force"] if len(told) > _TOLD else []
    ended = [f"{len(holds) - len(told)} released"] if len(holds) > len(told) else []
    return "; ".join([*told[:_TOLD], *more, *ended]) or "none"


@define
class _Second:
    """The second pass: bundle by bundle, and no more in memory than the workers need."""

    pack: Pack
    tree: Tree
    state: LogState
    facts: Facts
    held: Mapping[int, set[int]]
    changed: bool = False

    def results(self, executor: Executor) -> Iterator[tuple[int, Result]]:
        """Yield, in order, how many entries are done and what came of the latest ones."""
        ahead = _AHEAD * (os.cpu_count() or 1)
        waiting: deque[tuple[int, Future[Result]]] = deque()
        try:
            for number in range(bundle_count(self.tree.reached)):
                if job := self._job(number):
                    waiting.append((job.first + len(job.entries), executor.submit(check_openings, job)))
                if len(waiting) > ahead:
                    done, future = waiting.popleft()
                    yield done, future.result()
            while waiting:
                done, future = waiting.popleft()
                yield done, future.result()
        finally:
            for _, future in waiting:
                future.cancel()

    def _job(self, number: int) -> Job | None:
        """Return what is to be checked of a bundle, None where its entries cannot be had."""
        first, width = number * TILE_WIDTH, bundle_width(self.tree.size, number)
        path = bundle_path(number, width)
        if number in self.tree.lost:
            return None
        data = self.pack.fetch("bundle", path, missing="bundle-missing", index=first)
        if data is None or sha256(data).digest() != self.state.digests[number]:
            self.pack.findings.add("bundle-mismatch", f"{path} changed while it was read", path, first)
            self.changed = True
            return None
        wrong = self.state.wrong.get(number, frozenset())
        entries = decode_bundle(data, width, path)
        return Job(
            facts=self.facts,
            first=first,
            entries=tuple(
                None if place in wrong else _record_line(line) for place, line in enumerate(entries)
            ),
            erased=frozenset(place for place in range(width) if first + place in self.state.erased),
            held=frozenset(place for place in self.held.get(number, ()) if place < width),
            path=openings_path(number),
            bundle_path=path,
            data=self.pack.fetch("openings", openings_path(number), missing=None, index=first),
        )


def _record_line(line: bytes) -> bytes:
    """Return the entry of a record, nothing for another; what is too long for one stays recognisable as such."""
    return line[:_RECORD_LINE_BYTES] if line.startswith(RECORD_PREFIX) else b""
