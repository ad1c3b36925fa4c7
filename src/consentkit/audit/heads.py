"""Signed checkpoints: the newest one, those that the pack keeps, and the one that the auditor kept."""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import frozen

from consentkit.audit.pack import CHECKPOINT, Pack, bundle_path
from consentkit.audit.tree import Tree, bundle_width
from consentkit.errors import InvalidNote
from consentkit.evidence.entry import PredecessorEntry
from consentkit.tlog import Checkpoint, QuorumResult, TrustPolicy

__all__ = ["Heads", "check_consistency", "read_heads"]

_NAME = re.compile(r"0|[1-9][0-9]{0,18}")


@frozen
class Heads:
    """What the trusted log signed: its newest checkpoint, and the root of every earlier one by size.

    `newest` is None when nothing in the pack is signed as it must be. `quorum` tells who cosigned it.
    """

    newest: Checkpoint | None
    quorum: QuorumResult | None
    past: Mapping[int, bytes]
    previous: Checkpoint | None


def read_heads(pack: Pack, trust: TrustPolicy, previous: bytes | None) -> Heads:
    """Read every checkpoint of a pack. Raises InvalidNote when `previous` is none that the log signed.

    Where `log/checkpoint` is missing or wrong, the newest of the others stands in, so that the rest of the pack
    can still be looked at.
    """
    kept = None if previous is None else trust.check_quorum(previous).checkpoint
    current = _read_current(pack, trust)
    results = _read_past(pack, trust, current.checkpoint.log_name if current else None)
    past = {size: result.checkpoint for size, result in results.items()}
    newest = current.checkpoint if current else max(past.values(), key=lambda one: one.size, default=None)
    if current and not current.satisfied:
        _miss_quorum(
            pack, current, max((size for size, one in results.items() if one.satisfied), default=None)
        )
    if newest and past and (last := max(past)) > newest.size:
        message = f"checkpoints/{last} is newer than log/checkpoint, which is of size {newest.size}"
        pack.findings.add("checkpoint-stale", message, CHECKPOINT, newest.size)
    return Heads(newest, current, {size: one.root for size, one in past.items()}, kept)


def _read_current(pack: Pack, trust: TrustPolicy) -> QuorumResult | None:
    data = pack.fetch("checkpoint", CHECKPOINT, missing="checkpoint-missing")
    if data is None:
        return None
    try:
        result = trust.check_quorum(data)
    except InvalidNote as error:
        pack.findings.add("checkpoint-invalid", f"{CHECKPOINT}: {error.message}", CHECKPOINT)
        return None
    return result


def _miss_quorum(pack: Pack, current: QuorumResult, witnessed: int | None) -> None:
    """Say what lacks witnesses: all of the log, or what came after the newest checkpoint that has enough."""
    found = ", ".join(current.found) or "none"
    message = f"{CHECKPOINT} needs cosignatures of {current.needed}; there are: {found}"
    if witnessed is not None:
        tail = current.checkpoint.size - witnessed
        message += (
            f" (checkpoints/{witnessed} has enough, so that only the last {tail} entries are unwitnessed)"
        )
    pack.findings.add("quorum-missing", message, CHECKPOINT, witnessed)


def _read_past(pack: Pack, trust: TrustPolicy, log_name: str | None) -> dict[int, QuorumResult]:
    sizes = sorted(int(name) for name in pack.folder.names("checkpoints") if _NAME.fullmatch(name))
    found = {size: _read_one(pack, trust, size, log_name) for size in sizes}
    return {size: result for size, result in found.items() if result}


def _read_one(pack: Pack, trust: TrustPolicy, size: int, log_name: str | None) -> QuorumResult | None:
    path = f"checkpoints/{size}"
    data = pack.fetch("checkpoint", path, missing="past-checkpoint-invalid")
    if data is None:
        return None
    try:
        result = trust.check_quorum(data)
    except InvalidNote as error:
        pack.findings.add("past-checkpoint-invalid", f"{path}: {error.message}", path)
        return None
    checkpoint = result.checkpoint
    if log_name not in (None, checkpoint.log_name):
        message = f"{path} is of the log {checkpoint.log_name!r}"
        pack.findings.add("past-checkpoint-invalid", message, path)
        return None
    if checkpoint.size != size:
        message = f"{path} is the checkpoint of size {checkpoint.size}"
        pack.findings.add("past-checkpoint-misnamed", message, path)
        return None
    return result


def check_consistency(
    pack: Pack, heads: Heads, tree: Tree, predecessor: PredecessorEntry | None = None
) -> None:
    """Compare the tree with every root that the log signed; `predecessor` is what its first entry says of another."""
    good = {size for size, root in heads.past.items() if tree.roots.get(size) == root}
    if heads.newest and tree.root is not None and tree.root != heads.newest.root:
        message = f"the {tree.size} entries do not hash to the root that the log signed"
        pack.findings.add("root-mismatch", message, CHECKPOINT, _max_below(good, tree.size))
    for size in heads.past.keys() & tree.roots.keys() - good:
        path = f"checkpoints/{size}"
        message = f"the first {size} entries are not those of {path}"
        pack.findings.add("past-checkpoint-fork", message, path, _max_below(good, size))
    if heads.newest and heads.previous:
        if predecessor is not None and heads.previous.log_name == predecessor.log_name:
            _check_predecessor(pack, heads.newest, heads.previous, predecessor)
        else:
            _check_previous(pack, heads.newest, heads.previous, tree)


def _max_below(sizes: set[int], size: int) -> int:
    """Return the largest of `sizes` below `size`: entries before it are proven, and the trouble is behind."""
    return max((one for one in sizes if one < size), default=0)


def _check_predecessor(
    pack: Pack, newest: Checkpoint, previous: Checkpoint, before: PredecessorEntry
) -> None:
    """Compare a checkpoint of the log before with the end that this log gives it."""
    path = bundle_path(0, bundle_width(newest.size, 0))
    if previous.size > before.size:
        message = (
            f"the log {before.log_name!r} had {previous.size} entries when the earlier checkpoint was kept, and this"
            f" one carries on after {before.size}: {previous.size - before.size} are left out"
        )
        pack.findings.add("previous-rollback", message, path, 0)
    elif previous.size == before.size and previous.root != before.root:
        message = f"the log carries on after other {before.size} entries than those of the earlier checkpoint"
        pack.findings.add("previous-fork", message, path, 0)
    elif previous.size < before.size:
        message = (
            f"whether the {before.size} entries of {before.log_name!r} begin with the {previous.size} of the earlier"
            " checkpoint must be checked with the pack of that log"
        )
        pack.findings.add("previous-unchecked", message)


def _check_previous(pack: Pack, newest: Checkpoint, previous: Checkpoint, tree: Tree) -> None:
    if previous.log_name != newest.log_name:
        message = f"the earlier checkpoint is of the log {previous.log_name!r}, not of {newest.log_name!r}"
        pack.findings.add("previous-fork", message)
    elif previous.size > newest.size:
        gone = previous.size - newest.size
        message = f"the log had {previous.size} entries when the earlier checkpoint was kept; {gone} are gone"
        pack.findings.add("previous-rollback", message, CHECKPOINT, newest.size)
    elif tree.roots.get(previous.size, previous.root) != previous.root:
        message = f"the first {previous.size} entries are not those that the earlier checkpoint stands for"
        pack.findings.add("previous-fork", message, CHECKPOINT, 0)
