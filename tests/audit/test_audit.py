"""An audit of a good pack says so, and says what it could not see."""

import json
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from consentkit._data import schema_text
from consentkit.audit import CHECKS, FINDINGS, AuditReport, Finding, Outcome, audit
from consentkit.errors import InvalidNote
from consentkit.tlog import Algorithm, NoteSigner, TrustPolicy, VerifierKey, add_signatures, cosign
from tests.audit.packs import LOG_NAME, PackWriter, errors, filled, signer

SCHEMA = Draft202012Validator(json.loads(schema_text("audit-report")))


def outcomes(report: AuditReport) -> dict[str, Outcome]:
    return {check.id: check.outcome for check in report.checks}


def remarks(report: AuditReport) -> str:
    return " ".join(report.not_checked)


@pytest.mark.parametrize("records", [0, 1, 5, 252, 253, 254, 509, 600])
def test_a_good_pack_of_any_size_passes(records: int, tmp_path: Path) -> None:
    """Empty, partial, exactly full and many bundles all verify."""
    report = filled(records).audit(tmp_path)
    assert (report.exit_code, list(report), report.passed) == (0, [], True)


def test_a_log_without_entries_passes(tmp_path: Path) -> None:
    """The empty tree has a root too."""
    report = PackWriter(start=False).audit(tmp_path)
    assert report.passed
    assert report.log is not None
    assert report.log.size == 0


def test_every_check_is_listed_and_passed(writer: PackWriter, good_pack: Path) -> None:
    """Nothing is left out of the report, and only what was not asked for is skipped."""
    found = outcomes(audit(good_pack, writer.trust))
    assert list(found) == list(CHECKS)
    assert {name for name, outcome in found.items() if outcome == Outcome.SKIPPED} == {
        "witnesses",
        "previous",
    }
    assert set(found.values()) == {Outcome.PASSED, Outcome.SKIPPED}


def test_the_verdict_says_that_no_witness_was_demanded(writer: PackWriter, good_pack: Path) -> None:
    """A log that only its operator vouches for is not presented as more than that."""
    report = audit(good_pack, writer.trust)
    assert report.verdict == (
        f"VERIFIED: all that the trust file demands holds for 303 entries of {LOG_NAME}. No witness was demanded."
    )
    assert "no witness" in remarks(report)


def test_the_report_names_the_log_and_counts_its_entries(writer: PackWriter, good_pack: Path) -> None:
    """Name, size, root and kinds are those of the log."""
    log = audit(good_pack, writer.trust).log
    assert log is not None
    assert (log.name, log.size) == (LOG_NAME, 303)
    records = len(writer.openings)
    assert log.entries == {"key": 1, "notice": 301 - records, "policy": 1, "record": records}


def test_what_cannot_be_checked_is_said(writer: PackWriter, good_pack: Path) -> None:
    """Omissions, the tail, later revocations and the README are named in every report."""
    said = remarks(audit(good_pack, writer.trust))
    for words in (
        "never recorded",
        "after the newest checkpoint",
        "revoked later",
        "no earlier checkpoint",
        "README",
    ):
        assert words in said


def test_a_report_follows_its_schema(writer: PackWriter, good_pack: Path, pack: Path) -> None:
    """Good, bad and hopeless packs give reports of the same form."""
    (pack / "log/tile/0/000").unlink()
    (pack / "policies").rename(pack / "policy")
    reports = [audit(folder, writer.trust) for folder in (good_pack, pack, pack / "openings")]
    for report in reports:
        document = json.loads(json.dumps(report.to_json()))
        SCHEMA.validate(document)
        assert len(document["findings"]) == len(report.findings)
    assert [report.exit_code for report in reports] == [0, 1, 1]


def test_the_schema_refuses_what_no_report_says(writer: PackWriter, good_pack: Path) -> None:
    """The schema is closed, so the test above can fail."""
    document = audit(good_pack, writer.trust).to_json()
    document["findings"].append({"id": "tile-missing"})
    assert not SCHEMA.is_valid(document)


def test_a_report_iterates_over_its_findings(writer: PackWriter, pack: Path) -> None:
    """A site's own tests can loop over what was found."""
    (pack / "log/tile/1/000.p/1").unlink()
    findings = list(audit(pack, writer.trust))
    assert all(isinstance(finding, Finding) for finding in findings)
    assert findings[0].place == "log/tile/1/000.p/1, index 0"


def test_every_finding_belongs_to_a_check() -> None:
    """The table of findings refers to checks that exist."""
    assert {check for check, _, _ in FINDINGS.values()} <= set(CHECKS)


def test_an_earlier_checkpoint_that_the_log_extends_passes(writer: PackWriter, good_pack: Path) -> None:
    """What an auditor kept is a beginning of the log, at any size."""
    for size in (0, 1, 255, 256, 257, 303):
        report = audit(good_pack, writer.trust, previous=writer.checkpoint(size))
        assert report.passed
        assert outcomes(report)["previous"] == Outcome.PASSED
        assert "no earlier checkpoint" not in remarks(report)


def test_an_earlier_checkpoint_of_a_longer_log_fails(writer: PackWriter, tmp_path: Path) -> None:
    """A log that was cut back is found out by whoever kept a later checkpoint."""
    report = filled(200).audit(tmp_path, previous=writer.checkpoint())
    assert errors(report) == ["previous-rollback"]
    assert "303 entries" in report.verdict
    assert (report.findings[0].file, report.findings[0].index) == ("log/checkpoint", 203)


def test_an_earlier_checkpoint_of_another_history_fails(good_pack: Path, writer: PackWriter) -> None:
    """A log that was rewritten is found out by whoever kept a checkpoint."""
    other = PackWriter()
    for _ in range(20):
        other.record("z")
    report = audit(good_pack, writer.trust, previous=other.checkpoint())
    assert errors(report) == ["previous-fork"]
    assert outcomes(report)["previous"] == Outcome.FAILED


def test_an_earlier_checkpoint_of_another_log_fails(good_pack: Path, writer: PackWriter) -> None:
    """A trust file may list several logs; a checkpoint of one says nothing about another."""
    other = PackWriter("example.org/other")
    trust = TrustPolicy.parse(writer.trust_text + other.trust_text.splitlines()[0])
    report = audit(good_pack, trust, previous=other.checkpoint())
    assert errors(report) == ["previous-fork"]


def test_an_earlier_checkpoint_that_nobody_signed_is_a_mistake_of_the_caller(
    writer: PackWriter, good_pack: Path
) -> None:
    """What the auditor brings is not evidence against the pack."""
    with pytest.raises(InvalidNote):
        audit(good_pack, writer.trust, previous=b"not a checkpoint")


def test_a_folder_that_is_none_is_a_mistake_of_the_caller(writer: PackWriter, tmp_path: Path) -> None:
    """Neither a missing folder nor a file is a pack."""
    (tmp_path / "file").write_text("")
    for name in ("nothing", "file"):
        with pytest.raises(NotADirectoryError):
            audit(tmp_path / name, writer.trust)


def witnessed(folder: Path, witness: str) -> None:
    path = folder / "log/checkpoint"
    note = path.read_bytes()
    path.write_bytes(add_signatures(note, cosign(note, f"{witness}.example", signer(witness), 1_793_620_800)))


def demanding(writer: PackWriter, *witnesses: str) -> TrustPolicy:
    keys = {
        name: VerifierKey(f"{name}.example", Algorithm.COSIGNATURE_V1, signer(name).public_key)
        for name in witnesses
    }
    lines = [f"witness {name} {key}" for name, key in keys.items()]
    log = f"log {NoteSigner(writer.log_name, writer.log_key).verifier}"
    return TrustPolicy.parse("\n".join([log, *lines, f"group all all {' '.join(witnesses)}", "quorum all"]))


def test_a_witness_that_is_demanded_and_there_is_named(writer: PackWriter, pack: Path) -> None:
    """With its quorum met, an audit passes and claims no less."""
    witnessed(pack, "wendy")
    report = audit(pack, demanding(writer, "wendy"))
    assert report.passed
    assert outcomes(report)["witnesses"] == Outcome.PASSED
    assert "No witness" not in report.verdict


def test_a_missing_witness_leaves_the_audit_incomplete(writer: PackWriter, pack: Path) -> None:
    """What was demanded and cannot be checked is neither a success nor tampering."""
    witnessed(pack, "wendy")
    report = audit(pack, demanding(writer, "wendy", "wanda"))
    assert (report.exit_code, [finding.id for finding in report]) == (3, ["quorum-missing"])
    assert "INCOMPLETE" in report.verdict
    assert "wanda" in report.verdict


def test_a_false_cosignature_fails_the_audit(writer: PackWriter, pack: Path) -> None:
    """A known witness's name under another one's signature is tampering, whatever the quorum."""
    path = pack / "log/checkpoint"
    note = path.read_bytes()
    line = cosign(note, "wendy.example", signer("wendy"), 1_793_620_800)
    path.write_bytes(note + line[:-20] + (b"A" if line[-20:-19] != b"A" else b"B") + line[-19:])
    assert errors(audit(pack, demanding(writer, "wendy"))) == ["checkpoint-invalid"]


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_any_executor_gives_the_same_report(kind: str, writer: PackWriter, pack: Path) -> None:
    """Jobs and results are plain values, so work can be done in threads and elsewhere alike."""
    (pack / "openings/001.jsonl").unlink()
    executor = ThreadPoolExecutor(1) if kind == "threads" else ProcessPoolExecutor(1, get_context("spawn"))
    with executor:
        assert audit(pack, writer.trust, executor=executor) == audit(pack, writer.trust)


class Broken(Executor):
    """Takes jobs, and fails them."""

    def __init__(self) -> None:
        self.futures: list[Future[object]] = []

    def submit(self, fn: object, /, *args: object, **kwargs: object) -> Future[object]:  # type: ignore[override]
        self.futures.append(Future())
        if len(self.futures) == 1:
            self.futures[0].set_exception(RuntimeError("no workers left"))
        return self.futures[-1]


def test_an_executor_that_fails_ends_the_audit(writer: PackWriter, good_pack: Path) -> None:
    """That is no verdict about the pack; what still waited is called off."""
    executor = Broken()
    with pytest.raises(RuntimeError, match="no workers left"):
        audit(good_pack, writer.trust, executor=executor)
    assert [future.cancelled() for future in executor.futures] == [False, True]


def test_few_bundles_wait_at_a_time(
    writer: PackWriter, good_pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker's result is taken in before much more is read: memory does not grow with the log."""
    monkeypatch.setattr("consentkit.audit.auditor._AHEAD", 0)
    executor = Broken()
    with pytest.raises(RuntimeError, match="no workers left"):
        audit(good_pack, writer.trust, executor=executor)
    assert len(executor.futures) == 1


def test_progress_is_told_and_reaches_the_end(writer: PackWriter, good_pack: Path) -> None:
    """Both passes count entries, never beyond the size."""
    steps: list[tuple[str, int, int]] = []
    audit(good_pack, writer.trust, progress=lambda *step: steps.append(step))
    assert steps == [("tree", 256, 303), ("tree", 303, 303), ("records", 256, 303), ("records", 303, 303)]
