"""Whoever changes a pack after it was written is found out, with the right file and index."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from consentkit.audit import AuditReport, audit
from consentkit.tlog import Checkpoint, NoteSigner, TrustPolicy, sign_note
from tests.audit.packs import LOG_NAME, NOTICE, POLICY, PackWriter, digest, errors, signer, sparse

POLICY_FILE = f"policies/{digest(POLICY)}.json"
NOTICE_FILE = f"notices/{digest(NOTICE)}.html"

# Every class of file that a pack of 303 entries has, what a spoiled byte in it is found as, and where.
CLASSES = {
    "log/checkpoint": ("checkpoint-invalid", None),
    "checkpoints/151": ("past-checkpoint-invalid", None),
    "checkpoints/303": ("past-checkpoint-invalid", None),
    "log/tile/entries/000": ("bundle", range(256)),
    "log/tile/entries/001.p/47": ("bundle", range(256, 303)),
    "log/tile/0/000": ("tile-mismatch", range(256)),
    "log/tile/0/001.p/47": ("tile-mismatch", range(256, 303)),
    "log/tile/1/000.p/1": ("tile-mismatch", range(1)),
    "openings/000.jsonl": ("opening", range(3, 256)),
    "openings/001.jsonl": ("opening", range(256, 303)),
    POLICY_FILE: ("policy-mismatch", range(1, 2)),
    NOTICE_FILE: ("notice-mismatch", range(2, 3)),
}
MISSING = {
    "log/checkpoint": ("checkpoint-missing", None),
    "log/tile/entries/000": ("bundle-missing", 0),
    "log/tile/entries/001.p/47": ("bundle-missing", 256),
    "log/tile/0/000": ("tile-missing", 0),
    "log/tile/0/001.p/47": ("tile-missing", 256),
    "log/tile/1/000.p/1": ("tile-missing", 0),
    "openings/000.jsonl": ("opening-missing", 3),
    "openings/001.jsonl": ("opening-missing", 256),
    POLICY_FILE: ("policy-missing", 1),
    NOTICE_FILE: ("notice-missing", 2),
}


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def first_error(report: AuditReport) -> tuple[str, str | None, int | None]:
    """The first thing that is wrong; the verdict has to name it."""
    assert report.exit_code == 1
    found = next(finding for finding in report if finding.severity == "error")
    assert report.verdict == f"FAILED at {found.place or 'the pack as a whole'}: {found.message}."
    return found.id, found.file, found.index


@pytest.mark.parametrize("path", CLASSES)
@pytest.mark.parametrize("part", [0.0, 0.3, 0.6, 0.999])
def test_a_flipped_byte_is_found_in_its_file(path: str, part: float, writer: PackWriter, pack: Path) -> None:
    """Each class of file, at its beginning, in its middle and at its end."""
    flip(pack / path, int((pack / path).stat().st_size * part))
    kind, indexes = CLASSES[path]
    found, file, index = first_error(audit(pack, writer.trust))
    assert (found.startswith(kind), file) == (True, path)
    assert index is None if indexes is None else index in indexes


@pytest.mark.parametrize("place", [5, 100, 255])
def test_a_changed_entry_is_found_at_its_index(place: int, writer: PackWriter, pack: Path) -> None:
    """Only the one entry is suspected, though all of its tile is hashed together."""
    path = pack / "log/tile/entries/000"
    offset = sum(2 + len(entry) for entry in writer.entries[:place])
    flip(path, offset + 30)
    report = audit(pack, writer.trust)
    assert [(one.id, one.file, one.index) for one in report] == [
        ("bundle-mismatch", "log/tile/entries/000", place)
    ]


@pytest.mark.parametrize("place", [5, 100, 255])
def test_a_changed_length_is_found_at_its_index(place: int, writer: PackWriter, pack: Path) -> None:
    """A bundle that falls apart does so from some entry on."""
    offset = sum(2 + len(entry) for entry in writer.entries[:place])
    flip(pack / "log/tile/entries/000", offset + 1)
    assert first_error(audit(pack, writer.trust)) == ("bundle-malformed", "log/tile/entries/000", place)


@pytest.mark.parametrize("place", [3, 200, 300])
def test_a_changed_opening_is_found_at_its_index(place: int, writer: PackWriter, pack: Path) -> None:
    """A word changed in a record no longer opens its entry."""
    path = pack / f"openings/{place // 256:03}.jsonl"
    rows = path.read_bytes().splitlines(keepends=True)
    number = next(i for i, row in enumerate(rows) if json.loads(row)["index"] == place)
    rows[number] = rows[number].replace(b".", b"_.", 1)
    path.write_bytes(b"".join(rows))
    report = audit(pack, writer.trust)
    assert [(one.id, one.index) for one in report] == [("opening-mismatch", place)]


@pytest.mark.parametrize("path", CLASSES)
def test_a_truncated_file_is_found(path: str, writer: PackWriter, pack: Path) -> None:
    """One byte less is too few."""
    os.truncate(pack / path, (pack / path).stat().st_size - 1)
    assert first_error(audit(pack, writer.trust))[1] == path


@pytest.mark.parametrize("path", CLASSES)
def test_an_emptied_file_is_found(path: str, writer: PackWriter, pack: Path) -> None:
    """A file of that name is not enough."""
    os.truncate(pack / path, 0)
    assert first_error(audit(pack, writer.trust))[1] == path


@pytest.mark.parametrize("path", CLASSES)
def test_a_lengthened_file_is_found(path: str, writer: PackWriter, pack: Path) -> None:
    """Nothing may hide behind the end of a file."""
    with (pack / path).open("ab") as file:
        file.write(b"\0")
    assert first_error(audit(pack, writer.trust))[1] == path


@pytest.mark.parametrize("path", MISSING)
def test_a_dropped_file_is_found(path: str, writer: PackWriter, pack: Path) -> None:
    """What the log has must be there."""
    (pack / path).unlink()
    found, index = MISSING[path]
    assert first_error(audit(pack, writer.trust)) == (found, path, index)


def test_a_dropped_bundle_or_tile_casts_no_doubt_on_the_rest(writer: PackWriter, pack: Path) -> None:
    """Where one of bundle and tile is missing, the other one carries the proof."""
    for path in ("log/tile/entries/000", "log/tile/0/001.p/47"):
        (pack / path).unlink()
    assert errors(audit(pack, writer.trust)) == ["bundle-missing", "tile-missing"]


def test_an_earlier_checkpoint_may_be_left_out(writer: PackWriter, pack: Path) -> None:
    """Nothing demands every checkpoint; the newest one covers all entries."""
    (pack / "checkpoints/151").unlink()
    assert audit(pack, writer.trust).passed


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"\0" * 999, b"[" * 10_000, b"\xff\xfe", b"\n\n\n", b"9" * 9999 + b"\n"]
)
@pytest.mark.parametrize("path", CLASSES)
def test_garbage_is_a_finding(path: str, content: bytes, writer: PackWriter, pack: Path) -> None:
    """No content of any file ends an audit with a traceback."""
    (pack / path).write_bytes(content)
    assert first_error(audit(pack, writer.trust))[1] == path


SWAPS = [
    ("log/tile/entries/000", "log/tile/entries/001.p/47"),
    ("log/tile/0/000", "log/tile/0/001.p/47"),
    ("log/tile/0/000", "log/tile/entries/000"),
    ("openings/000.jsonl", "openings/001.jsonl"),
    ("checkpoints/151", "checkpoints/303"),
    ("log/checkpoint", "checkpoints/151"),
    (POLICY_FILE, NOTICE_FILE),
]


@pytest.mark.parametrize(("one", "other"), SWAPS)
def test_swapped_files_are_found(one: str, other: str, writer: PackWriter, pack: Path) -> None:
    """Genuine content under another name is not genuine."""
    a, b = (pack / one).read_bytes(), (pack / other).read_bytes()
    (pack / one).write_bytes(b)
    (pack / other).write_bytes(a)
    assert first_error(audit(pack, writer.trust))[1] in (one, other)


def rows_of(pack: Path, number: int = 0) -> list[bytes]:
    return (pack / f"openings/{number:03}.jsonl").read_bytes().splitlines(keepends=True)


def put_rows(pack: Path, rows: list[bytes]) -> None:
    (pack / "openings/000.jsonl").write_bytes(b"".join(rows))


def test_a_removed_opening_is_found(writer: PackWriter, pack: Path) -> None:
    """A record that is not opened has to be erased or expired."""
    rows = rows_of(pack)
    put_rows(pack, rows[:7] + rows[8:])
    report = audit(pack, writer.trust)
    assert [(one.id, one.file, one.index) for one in report] == [
        ("opening-missing", "openings/000.jsonl", 10)
    ]


def test_a_duplicated_opening_is_found(writer: PackWriter, pack: Path) -> None:
    """Each record is opened once."""
    rows = rows_of(pack)
    put_rows(pack, [*rows[:8], *rows[7:]])
    assert first_error(audit(pack, writer.trust)) == ("opening-misplaced", "openings/000.jsonl", 10)


def test_openings_in_another_order_are_found(writer: PackWriter, pack: Path) -> None:
    """Openings stand in order of index."""
    rows = rows_of(pack)
    rows[4], rows[5] = rows[5], rows[4]
    put_rows(pack, rows)
    assert first_error(audit(pack, writer.trust)) == ("opening-misplaced", "openings/000.jsonl", 7)


def test_an_opening_of_another_bundle_is_found(writer: PackWriter, pack: Path) -> None:
    """Openings stand in the file of their bundle."""
    put_rows(pack, [*rows_of(pack), rows_of(pack, 1)[0]])
    assert first_error(audit(pack, writer.trust)) == ("opening-misplaced", "openings/000.jsonl", 256)


def test_an_exchanged_opening_is_found(writer: PackWriter, pack: Path) -> None:
    """The record of one entry cannot stand in for that of another."""
    rows = rows_of(pack)
    rows[4] = rows[7].replace(b'"index":10', b'"index":7')
    put_rows(pack, rows)
    assert first_error(audit(pack, writer.trust)) == ("opening-mismatch", "openings/000.jsonl", 7)


def test_a_disclosure_of_another_record_is_found(writer: PackWriter, pack: Path) -> None:
    """Whose record it is cannot be changed either."""
    rows = [json.loads(row) for row in rows_of(pack)]
    rows[4]["disclosures"] = rows[5]["disclosures"]
    put_rows(pack, [json.dumps(row).encode() + b"\n" for row in rows])
    report = audit(pack, writer.trust)
    assert ("disclosure-mismatch", 7) in [(one.id, one.index) for one in report]
    assert first_error(report) == ("disclosure-mismatch", "openings/000.jsonl", 7)


def test_leaving_disclosures_out_is_said_and_does_not_fail(writer: PackWriter, pack: Path) -> None:
    """Everything but whose record it is still verifies, links between records included."""
    for number in (0, 1):
        rows = [json.loads(row) | {"disclosures": []} for row in rows_of(pack, number)]
        (pack / f"openings/{number:03}.jsonl").write_bytes(
            b"".join(json.dumps(r).encode() + b"\n" for r in rows)
        )
    report = audit(pack, writer.trust)
    assert report.passed
    assert f"Whose {len(writer.openings)} records are: the pack leaves that out." in report.not_checked


def test_a_replayed_checkpoint_is_found(writer: PackWriter, pack: Path) -> None:
    """An old head under the name of the newest contradicts the newer one beside it."""
    shutil.copy(pack / "checkpoints/151", pack / "log/checkpoint")
    report = audit(pack, writer.trust)
    assert ("checkpoint-stale", "log/checkpoint", 151) in [(one.id, one.file, one.index) for one in report]
    assert report.exit_code == 1


def test_a_checkpoint_under_another_size_is_found(writer: PackWriter, pack: Path) -> None:
    """The name of a checkpoint is its size."""
    (pack / "checkpoints/151").rename(pack / "checkpoints/150")
    assert first_error(audit(pack, writer.trust)) == ("past-checkpoint-misnamed", "checkpoints/150", None)


def test_a_checkpoint_that_forks_is_found(writer: PackWriter, pack: Path) -> None:
    """Two heads that the log signed and that cannot both be true: the operator presented two histories."""
    text = Checkpoint(LOG_NAME, 200, b"\7" * 32).text()
    (pack / "checkpoints/200").write_bytes(sign_note(text, NoteSigner(LOG_NAME, writer.log_key)))
    assert first_error(audit(pack, writer.trust)) == ("past-checkpoint-fork", "checkpoints/200", 151)


def test_a_checkpoint_of_another_trusted_log_is_found(writer: PackWriter, pack: Path) -> None:
    """A pack is of one log."""
    other = PackWriter("example.org/other")
    trust = TrustPolicy.parse(writer.trust_text + other.trust_text.splitlines()[0])
    (pack / "checkpoints/3").write_bytes(other.checkpoint())
    assert first_error(audit(pack, trust)) == ("past-checkpoint-invalid", "checkpoints/3", None)


def forged(writer: PackWriter, folder: Path) -> Path:
    """The same pack, checkpoints and all, made with another log key."""
    forger = sparse()
    forger.log_key = signer("mallory")
    return forger.write(folder)


def test_a_pack_forged_with_another_log_key_is_found(writer: PackWriter, tmp_path: Path) -> None:
    """Consistent in itself is not signed by the one whom the auditor trusts."""
    report = audit(forged(writer, tmp_path), writer.trust)
    assert first_error(report) == ("checkpoint-invalid", "log/checkpoint", None)
    assert report.log is None


def test_a_key_that_lies_in_the_pack_is_not_believed(writer: PackWriter, tmp_path: Path) -> None:
    """A trust file among the evidence changes nothing but that it is reported."""
    folder = forged(writer, tmp_path)
    key = NoteSigner(LOG_NAME, signer("mallory")).verifier
    (folder / "trust.txt").write_text(f"log {key}\nquorum none\n")
    assert audit(folder, writer.trust).exit_code == 1


def test_rewritten_entries_with_all_their_tiles_are_found(writer: PackWriter, tmp_path: Path) -> None:
    """A tree that is sound in itself still has to be the signed one; earlier checkpoints narrow it down."""
    forger = sparse()
    forger.entries[200] = forger.entries[201]
    folder = forger.write(tmp_path)
    for name in ("log/checkpoint", "checkpoints/303", "checkpoints/151"):
        (folder / name).write_bytes(
            writer.checkpoint(int(name.rpartition("/")[2].replace("checkpoint", "303")))
        )
    report = audit(folder, writer.trust)
    assert first_error(report) == ("root-mismatch", "log/checkpoint", 151)
    assert ("past-checkpoint-fork", "checkpoints/303") in [(one.id, one.file) for one in report]


Spoil = Callable[[Path], object]
PAIRS: dict[str, tuple[list[str], list[tuple[str, str | None]]]] = {
    "bundle and its tile": (
        ["log/tile/entries/000", "log/tile/0/000"],
        [("bundle-mismatch", "log/tile/entries/000"), ("tile-mismatch", "log/tile/0/000")],
    ),
    "tile and the one above": (
        ["log/tile/0/000", "log/tile/1/000.p/1"],
        [("tile-mismatch", "log/tile/0/000"), ("tile-mismatch", "log/tile/1/000.p/1")],
    ),
    "bundle and another tile": (
        ["log/tile/entries/000", "log/tile/0/001.p/47"],
        [("bundle-mismatch", "log/tile/entries/000"), ("tile-mismatch", "log/tile/0/001.p/47")],
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_two_spoiled_files_are_both_named(name: str, writer: PackWriter, pack: Path) -> None:
    """Blame does not stop at the first file, nor fall on a third."""
    paths, expected = PAIRS[name]
    for path in paths:
        flip(pack / path, 3001 if "entries" in path else 31)
    report = audit(pack, writer.trust)
    assert report.exit_code == 1
    if name != "bundle and its tile":
        assert {(one.id, one.file) for one in report} == set(expected)
    assert {one.file for one in report} >= {paths[-1]}


def test_a_file_of_no_kind_is_reported_as_unchecked(writer: PackWriter, pack: Path) -> None:
    """Something put beside the evidence is not evidence."""
    names = ["extra.txt", "log/tile/0/007", "log/tile/0/000.p/3", "openings/002.jsonl", "policies/x.json", "log/tile/9/000",
             "notices/" + "0" * 64 + ".html", "checkpoints/0303", "openings/0.jsonl", "log/tile/entries/x000/000", "holds.jsonl",
             "log/tile/entries/000.p/2", "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o"]  # fmt: skip
    for name in names:
        (pack / name).parent.mkdir(parents=True, exist_ok=True)
        (pack / name).write_bytes(b"?")
    report = audit(pack, writer.trust)
    assert report.exit_code == 3
    assert {one.id for one in report} == {"file-unexpected"}
    names[-1] = "a/b/c/d/e/f/g/h/i/j/k/l/m"
    assert {one.file for one in report} == set(names)


def test_a_partial_tile_of_an_earlier_export_is_accepted(writer: PackWriter, pack: Path) -> None:
    """Logs leave outgrown partial tiles behind; those that the fuller file begins with are no trouble."""
    for full, partial in (
        ("log/tile/0/000", "log/tile/0/000.p/5"),
        ("log/tile/entries/000", "log/tile/entries/000.p/5"),
    ):
        size = 160 if "/0/000" in full else sum(2 + len(entry) for entry in writer.entries[:5])
        (pack / partial).parent.mkdir()
        (pack / partial).write_bytes((pack / full).read_bytes()[:size])
    assert audit(pack, writer.trust).passed


def test_a_partial_bundle_that_was_cut_is_no_earlier_one(writer: PackWriter, pack: Path) -> None:
    """It has to hold as many whole entries as its name says."""
    (pack / "log/tile/entries/000.p").mkdir()
    for width, size in ((5, 100), (4, 2 + len(writer.entries[0]))):
        data = (pack / "log/tile/entries/000").read_bytes()[:size]
        (pack / f"log/tile/entries/000.p/{width}").write_bytes(data)
    report = audit(pack, writer.trust)
    assert {one.id for one in report} == {"file-unexpected"}
    assert {one.file for one in report} == {f"log/tile/entries/000.p/{width}" for width in (5, 4)}


def test_a_readme_is_covered_by_nothing_and_the_report_says_so(writer: PackWriter, pack: Path) -> None:
    """The one file that may be changed unnoticed is named."""
    (pack / "README.md").write_text("All is well, ask nobody.\n")
    report = audit(pack, writer.trust)
    assert report.passed
    assert any("README.md" in remark for remark in report.not_checked)


def test_an_empty_folder_is_no_pack(writer: PackWriter, tmp_path: Path) -> None:
    """Nothing at all is not a clean result."""
    report = audit(tmp_path, writer.trust)
    assert first_error(report) == ("checkpoint-missing", "log/checkpoint", None)


def test_without_the_newest_checkpoint_the_rest_is_still_checked(writer: PackWriter, pack: Path) -> None:
    """An earlier signed head stands in, so that one bad file does not hide another."""
    (pack / "log/checkpoint").unlink()
    flip(pack / POLICY_FILE, 3)
    assert errors(audit(pack, writer.trust)) == ["checkpoint-missing", "policy-mismatch"]
