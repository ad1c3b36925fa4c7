"""No check can be left out: for each there is a bad pack that would pass without it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from consentkit.audit import FINDINGS, Severity, audit
from consentkit.audit.findings import Findings
from consentkit.tlog import Checkpoint, NoteSigner, sign_note
from tests.audit.packs import LOG_NAME, NOTICE, POLICY, PackWriter, digest
from tests.audit.test_log import WRONG


def spoil_line(pack: Path, number: int, old: bytes, new: bytes) -> None:
    path = pack / "openings/000.jsonl"
    rows = path.read_bytes().splitlines(keepends=True)
    rows[number] = rows[number].replace(old, new, 1)
    path.write_bytes(b"".join(rows))


def forge_past(pack: Path, writer: PackWriter) -> None:
    text = Checkpoint(LOG_NAME, 200, b"\7" * 32).text()
    (pack / "checkpoints/200").write_bytes(sign_note(text, NoteSigner(LOG_NAME, writer.log_key)))


def change_entry(pack: Path, writer: PackWriter) -> None:
    path = pack / "log/tile/entries/000"
    path.write_bytes(path.read_bytes().replace(writer.entries[255], writer.entries[255].upper()))


def cut_bundle(pack: Path, writer: PackWriter) -> None:
    path = pack / "log/tile/entries/000"
    path.write_bytes(path.read_bytes()[: -len(writer.entries[255]) - 2])


def other_root(pack: Path, writer: PackWriter) -> None:
    text = Checkpoint(LOG_NAME, 303, b"\7" * 32).text()
    (pack / "log/checkpoint").write_bytes(sign_note(text, NoteSigner(LOG_NAME, writer.log_key)))
    for past in ("151", "303"):
        (pack / "checkpoints" / past).unlink()


def other_disclosure(pack: Path, writer: PackWriter) -> None:
    told = [writer.openings[index].disclosures[0].encode() for index in (32, 31)]
    spoil_line(pack, 29, *told)


def more_lines(pack: Path, *lines: bytes) -> None:
    with (pack / "openings/000.jsonl").open("ab") as file:
        file.writelines(lines)


def last_line(pack: Path) -> bytes:
    return (pack / "openings/000.jsonl").read_bytes().splitlines(keepends=True)[-1]


def cut_log(pack: Path, writer: PackWriter) -> None:
    """Present the log as it once was, and forget to take away the later checkpoint."""
    late = (pack / "checkpoints/303").read_bytes()
    early = PackWriter()
    early.record()
    shutil.rmtree(pack)
    early.write(pack)
    (pack / "checkpoints/303").write_bytes(late)


def link(path: Path) -> None:
    path.unlink()
    path.symlink_to("holds.jsonl")


Spoil = Callable[[Path, PackWriter], object]
FILES: dict[str, Spoil] = {
    "checkpoint-missing": lambda pack, _: (pack / "log/checkpoint").unlink(),
    "checkpoint-invalid": lambda pack, _: (pack / "log/checkpoint").write_bytes(b"?"),
    "checkpoint-stale": cut_log,
    "past-checkpoint-invalid": lambda pack, _: (pack / "checkpoints/151").write_bytes(b"?"),
    "past-checkpoint-misnamed": lambda pack, _: (pack / "checkpoints/151").rename(pack / "checkpoints/150"),
    "past-checkpoint-fork": forge_past,
    "root-mismatch": other_root,
    "bundle-missing": lambda pack, _: (pack / "log/tile/entries/000").unlink(),
    "bundle-malformed": cut_bundle,
    "bundle-mismatch": change_entry,
    "tile-missing": lambda pack, _: (pack / "log/tile/1/000.p/1").unlink(),
    "tile-mismatch": lambda pack, _: (pack / "log/tile/1/000.p/1").write_bytes(bytes(32)),
    "opening-malformed": lambda pack, _: more_lines(pack, b"{}\n"),
    "opening-misplaced": lambda pack, _: more_lines(pack, last_line(pack)),
    "opening-mismatch": lambda pack, _: spoil_line(pack, 29, b".", b"_."),
    "disclosure-mismatch": other_disclosure,
    "policy-mismatch": lambda pack, _: (pack / f"policies/{digest(POLICY)}.json").write_bytes(POLICY + b" "),
    "notice-mismatch": lambda pack, _: (pack / f"notices/{digest(NOTICE)}.html").write_bytes(NOTICE + b" "),
    "file-refused": lambda pack, _: link(pack / "README.md"),
    "file-unexpected": lambda pack, _: (pack / "more.txt").write_bytes(b"?"),
}

# What takes something else than a spoiled file to be found, with the tests that show it.
ELSEWHERE = {
    "previous-rollback", "previous-fork", "quorum-missing",  # test_audit
    "hold-invalid", "hold-malformed", "hold-mismatch", "hold-unopened", "hold-broken",  # test_log
    "entry-unknown", "previous-unchecked",  # test_log
    "tree-given-up", "file-unreadable",  # test_folder
}  # fmt: skip


def without(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Switch one check off: what it finds is dropped."""
    real = Findings.add

    def add(self: Findings, id: str, *details: object) -> None:  # noqa: A002
        if id != name:
            real(self, id, *details)  # type: ignore[arg-type]

    monkeypatch.setattr(Findings, "add", add)


@pytest.mark.parametrize("name", FILES)
def test_without_a_check_a_spoiled_file_passes(
    name: str, writer: PackWriter, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one finding is all that stands between this pack and a good verdict."""
    FILES[name](pack, writer)
    report = audit(pack, writer.trust)
    assert {finding.id for finding in report} == {name}
    assert report.exit_code == (3 if name == "file-unexpected" else 1)
    without(name, monkeypatch)
    assert audit(pack, writer.trust).passed


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.__name__)
def test_without_a_check_a_wrong_log_passes(
    wrong: Callable[[PackWriter], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for what only the operator can do."""
    writer = PackWriter()
    wrong(writer)
    without(WRONG[wrong], monkeypatch)
    assert writer.audit(tmp_path).passed


def test_every_finding_that_matters_is_shown_somewhere() -> None:
    """A new finding needs a pack that has it."""
    shown = set(FILES) | set(WRONG.values()) | ELSEWHERE
    assert {name for name, (_, severity, _) in FINDINGS.items() if severity != Severity.NOTE} == shown
