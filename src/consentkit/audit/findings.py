"""Everything that an audit can find, as a table, and the place where findings are gathered."""

from __future__ import annotations

from collections import Counter

from attrs import define, field

from consentkit.audit.report import Finding, Severity

__all__ = ["CHECKS", "FINDINGS", "KEPT", "Findings"]

KEPT = 100
"""How many findings of one id are kept in full; the rest is counted."""

CHECKS = {
    "trust": "Trust file",
    "checkpoint": "Log signature",
    "witnesses": "Witness quorum",
    "previous": "Checkpoint kept earlier",
    "checkpoints": "Checkpoints in the pack",
    "tree": "Tiles and bundles",
    "entries": "Every index",
    "keys": "Record keys",
    "openings": "Openings",
    "records": "Records",
    "histories": "Histories",
    "policies": "Policies",
    "notices": "Notices",
    "holds": "Holds",
    "times": "Times",
    "files": "Files",
}
"""The checks in the order of the report, each with its title."""

_ERROR, _UNCHECKED, _NOTE = Severity.ERROR, Severity.UNCHECKED, Severity.NOTE

FINDINGS = {
    "checkpoint-missing": ("checkpoint", _ERROR, "log/checkpoint is not there"),
    "checkpoint-invalid": ("checkpoint", _ERROR, "log/checkpoint is not signed as the trust file demands"),
    "checkpoint-stale": ("checkpoint", _ERROR, "the log has signed a newer checkpoint than log/checkpoint"),
    "quorum-missing": ("witnesses", _UNCHECKED, "too few witnesses have cosigned log/checkpoint"),
    "previous-rollback": ("previous", _ERROR, "the log was longer when the earlier checkpoint was kept"),
    "previous-unchecked": (
        "previous",
        _UNCHECKED,
        "the earlier checkpoint is of the log that this one carries on after",
    ),
    "previous-fork": ("previous", _ERROR, "the tree does not begin with that of the earlier checkpoint"),
    "past-checkpoint-invalid": ("checkpoints", _ERROR, "a checkpoint is not signed by the trusted log"),
    "past-checkpoint-misnamed": ("checkpoints", _ERROR, "a checkpoint is of another size than its name says"),
    "past-checkpoint-fork": ("checkpoints", _ERROR, "the tree does not begin with that of a checkpoint"),
    "root-mismatch": ("tree", _ERROR, "the entries do not hash to the signed root"),
    "bundle-missing": ("tree", _ERROR, "a bundle of entries is not there"),
    "bundle-malformed": ("tree", _ERROR, "a bundle is cut, or has too many or too few entries"),
    "bundle-mismatch": ("tree", _ERROR, "an entry is not the one in the signed tree"),
    "tile-missing": ("tree", _ERROR, "a tile is not there"),
    "tile-mismatch": ("tree", _ERROR, "a tile holds other hashes than the signed tree"),
    "tree-given-up": ("tree", _ERROR, "so many bundles are missing that the rest was not looked at"),
    "entry-malformed": ("entries", _ERROR, "an entry of the log is not a line as the format demands"),
    "entry-unknown": ("entries", _UNCHECKED, "an entry is of a kind that this version does not know"),
    "log-continued": ("entries", _NOTE, "the log carries on after another one, which was not looked at"),
    "predecessor-misplaced": ("entries", _ERROR, "an entry other than the first names an earlier log"),
    "tombstone-invalid": ("entries", _ERROR, "an entry erases or expires what is no earlier record"),
    "opening-missing": ("entries", _ERROR, "a record is neither opened nor erased nor expired"),
    "opening-superfluous": (
        "entries",
        _ERROR,
        "a record that is erased or expired, or an entry that is no record, is opened",
    ),
    "key-invalid": ("keys", _ERROR, "an entry about a key contradicts itself or what came before"),
    "key-unknown": ("keys", _ERROR, "the log never introduced the key of a record"),
    "key-early": ("keys", _ERROR, "a record came before the entry that introduced its key"),
    "key-retired": ("keys", _ERROR, "a record came after the entry that retired its key"),
    "key-revoked": ("keys", _ERROR, "a record is among those for which its key was revoked"),
    "opening-malformed": ("openings", _ERROR, "a line of an openings file is not an opening"),
    "opening-misplaced": ("openings", _ERROR, "an opening stands out of order, twice or in the wrong file"),
    "opening-mismatch": ("openings", _ERROR, "an opening does not open the commitment of its entry"),
    "disclosure-mismatch": ("openings", _ERROR, "a disclosure does not belong to its record"),
    "record-malformed": ("records", _ERROR, "a record is not in the form that its schema demands"),
    "record-signature": ("records", _ERROR, "a record is not signed by the key that it names"),
    "record-foreign": ("records", _ERROR, "a record names another log"),
    "history-repeated": ("histories", _ERROR, "two records have the same place in one history"),
    "history-gap": ("histories", _ERROR, "a record follows one that the log does not have"),
    "history-broken": ("histories", _ERROR, "a record does not follow the last one of its history"),
    "policy-missing": ("policies", _ERROR, "the file of a published policy is not there"),
    "policy-mismatch": ("policies", _ERROR, "the file of a policy has another digest than its name"),
    "policy-malformed": ("policies", _ERROR, "the file of a policy is no policy"),
    "policy-version": ("policies", _ERROR, "a policy, its entry and a record differ about its version"),
    "policy-unpublished": ("policies", _ERROR, "a record names a policy that the log did not publish before"),
    "notice-missing": ("notices", _ERROR, "the file of a published notice is not there"),
    "notice-mismatch": ("notices", _ERROR, "the file of a notice has another digest than its name"),
    "notice-unpublished": ("notices", _ERROR, "a record names a notice that the log did not publish before"),
    "hold-invalid": ("holds", _ERROR, "an entry places a hold again, or releases one that is not in force"),
    "hold-malformed": ("holds", _ERROR, "a line of holds.jsonl is not a hold, or tells of one again"),
    "hold-mismatch": ("holds", _ERROR, "holds.jsonl and the log tell different things of a hold"),
    "hold-unopened": ("holds", _ERROR, "holds.jsonl does not tell which records a hold is about"),
    "hold-broken": ("holds", _ERROR, "a record that is said to be on hold was erased, or is none"),
    "time-backwards": ("times", _NOTE, "a record is dated more than 300 s before an earlier one"),
    "file-refused": (
        "files",
        _ERROR,
        "a link, a special file or one that is too large stands in a file's place",
    ),
    "file-unreadable": ("files", _UNCHECKED, "the system could not read a file"),
    "file-unexpected": ("files", _UNCHECKED, "a file belongs to no pack, so nothing vouches for it"),
}
"""What can be found: id to check, severity and meaning."""


@define
class Findings:
    """Gathers findings; of each id it keeps the first `KEPT` and counts the others."""

    kept: list[Finding] = field(factory=list)
    counts: Counter[str] = field(factory=Counter)

    def add(self, id: str, message: str, file: str | None = None, index: int | None = None) -> None:  # noqa: A002
        """Add a finding of a known id."""
        check, severity, _ = FINDINGS[id]
        self.counts[id] += 1
        if self.counts[id] <= KEPT:
            self.kept.append(Finding(id, check, severity, message, file, index))

    def merge(self, found: list[Finding]) -> None:
        """Add findings that were made elsewhere, such as by a worker."""
        for finding in found:
            self.add(finding.id, finding.message, finding.file, finding.index)

    def sorted(self) -> tuple[Finding, ...]:
        """Return what is kept: first what is about no single entry, then by index."""
        return tuple(sorted(self.kept, key=lambda one: -1 if one.index is None else one.index))

    def more(self) -> dict[str, int]:
        """Return how many findings of each id are not kept."""
        return {name: count - KEPT for name, count in sorted(self.counts.items()) if count > KEPT}
