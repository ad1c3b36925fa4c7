"""Whoever runs the log cannot sign just anything: what its entries and records say has to agree."""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from consentkit.audit import FINDINGS, AuditReport, Severity, audit
from consentkit.evidence.entry import entry_line
from consentkit.evidence.record import RECORD_TYPE
from consentkit.keys import Ed25519Signer, thumbprint
from consentkit.tlog import Checkpoint, NoteSigner, TrustPolicy, sign_note
from tests.audit.packs import LOG_NAME, NOTICE, POLICY, PackWriter, digest, errors, pseudonym, seeded, signer
from tests.support import START

ORDER_TWO = b"\1" + bytes(31)
OTHER = b'{"schema":"consentkit-policy/1","version":"2"}'


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def resign(claims: dict[str, object], key: Ed25519Signer, **header: str) -> str:
    """Sign any claims at all, as nobody's `build_record` would."""
    head = {"alg": "EdDSA", "kid": key.key_id, "typ": RECORD_TYPE} | header
    signed = ".".join(
        b64(json.dumps(part, separators=(",", ":"), sort_keys=True).encode()) for part in (head, claims)
    )
    return f"{signed}.{b64(key.sign(signed.encode()))}"


def claims_of(writer: PackWriter, index: int) -> dict[str, object]:
    payload = writer.openings[index].record.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(payload + "===")))


def found(report: AuditReport) -> list[tuple[str, int | None]]:
    return [(finding.id, finding.index) for finding in report]


def a_record_under_a_key_never_introduced(writer: PackWriter) -> int:
    return writer.record(key=signer("stranger"))


def a_record_under_the_log_key(writer: PackWriter) -> int:
    writer.add_key(signer("log's own"), purpose="log")
    return writer.record(key=signer("log's own"))


def a_record_before_its_key(writer: PackWriter) -> int:
    index = writer.record(key=signer("second"))
    writer.add_key(signer("second"))
    return index


def a_record_after_its_key_was_retired(writer: PackWriter) -> int:
    writer.record()
    writer.add_key(writer.record_key, "retire")
    return writer.record()


def a_record_in_the_revoked_range(writer: PackWriter) -> int:
    writer.record()
    index = writer.record()
    writer.line("key", "revoke", "record", writer.record_key.key_id, index)
    return index


def a_key_whose_id_is_not_its_thumbprint(writer: PackWriter) -> int:
    return writer.line("key", "add", "record", signer("x").key_id, b64(signer("y").public_key))


def a_key_of_small_order(writer: PackWriter) -> int:
    return writer.line("key", "add", "record", thumbprint(ORDER_TWO), b64(ORDER_TWO))


def a_retired_key_that_comes_back(writer: PackWriter) -> int:
    writer.add_key(writer.record_key, "retire")
    return writer.add_key(writer.record_key)


def a_key_retired_twice(writer: PackWriter) -> int:
    writer.add_key(writer.record_key, "retire")
    return writer.add_key(writer.record_key, "retire")


def a_stranger_retired(writer: PackWriter) -> int:
    return writer.add_key(signer("stranger"), "retire")


def a_stranger_revoked(writer: PackWriter) -> int:
    return writer.line("key", "revoke", "record", signer("stranger").key_id, 0)


def a_record_signed_by_another_than_it_names(writer: PackWriter) -> int:
    index = writer.record()
    head, body, _ = writer.openings.pop(index).record.split(".")
    signature = b64(signer("mallory").sign(f"{head}.{body}".encode()))
    writer.entries.pop()
    return writer.opening(f"{head}.{body}.{signature}", ())


def a_record_edited_and_signed_with_a_retired_key(writer: PackWriter) -> int:
    old = signer("old")
    writer.add_key(old)
    writer.add_key(old, "retire")
    index = writer.record()
    claims = claims_of(writer, index) | {"event": "refused"}
    writer.entries.pop()
    del writer.openings[index]
    return writer.opening(resign(claims, old), ())


def a_record_of_another_log(writer: PackWriter) -> int:
    return writer.record(log_name="example.org/other")


def a_record_with_a_member_too_many(writer: PackWriter) -> int:
    claims = claims_of(writer, writer.record("z")) | {"ip": "192.0.2.1"}
    return writer.opening(resign(claims, writer.record_key), ())


def a_record_that_is_no_record(writer: PackWriter) -> int:
    return writer.opening("not.a.record", ())


def a_record_with_another_algorithm(writer: PackWriter) -> int:
    claims = claims_of(writer, writer.record("z"))
    return writer.opening(resign(claims, writer.record_key, alg="none"), ())


def a_record_under_a_policy_never_published(writer: PackWriter) -> int:
    return writer.record(policy=(digest(b"other"), "1"))


def a_record_before_its_policy(writer: PackWriter) -> int:
    index = writer.record(policy=(digest(OTHER), "2"))
    writer.publish_policy(OTHER, "2")
    return index


def a_record_with_another_version_of_its_policy(writer: PackWriter) -> int:
    return writer.record(policy=(digest(POLICY), "2025-01"))


def a_policy_with_another_version_than_its_entry(writer: PackWriter) -> int:
    return writer.publish_policy(OTHER, "3")


def a_policy_entered_under_two_versions(writer: PackWriter) -> int:
    return writer.publish_policy(version="2026-12")


def a_policy_that_is_no_json(writer: PackWriter) -> int:
    return writer.publish_policy(b"{", "3")


def a_policy_nested_too_deeply(writer: PackWriter) -> int:
    return writer.publish_policy(b"[" * 100_000, "3")


def a_policy_that_is_no_object(writer: PackWriter) -> int:
    return writer.publish_policy(b"[]", "3")


def a_policy_without_a_version(writer: PackWriter) -> int:
    return writer.publish_policy(b'{"version":3}', "3")


def a_policy_without_its_file(writer: PackWriter) -> int:
    return writer.line("policy", digest(b"gone"), "3")


def a_notice_without_its_file(writer: PackWriter) -> int:
    return writer.line("notice", digest(b"gone"))


def a_record_under_a_notice_never_published(writer: PackWriter) -> int:
    return writer.record(notice=(digest(b"other"), "en", "consentkit/1", "bar"))


def a_record_before_its_notice(writer: PackWriter) -> int:
    index = writer.record(notice=(digest(b"later"), "en", "consentkit/1", "bar"))
    writer.publish_notice(b"later")
    return index


def a_record_that_is_not_opened(writer: PackWriter) -> int:
    return writer.record(opened=False)


def an_erased_record_that_is_opened(writer: PackWriter) -> int:
    index = writer.record()
    writer.line("erased", index, "request", "2026-11-25")
    return index


def an_erased_record_to_come(writer: PackWriter) -> int:
    return writer.line("erased", len(writer.entries), "request", "2026-11-25")


def an_erased_policy(writer: PackWriter) -> int:
    writer.line("erased", 1, "request", "2026-11-25")
    return 1


def records_expired_that_are_to_come(writer: PackWriter) -> int:
    return writer.line("expired", 1000, "2026-11-25")


def an_opening_of_a_policy(writer: PackWriter) -> int:
    index = writer.record()
    opening = writer.openings.pop(index)
    writer.entries[index] = writer.entries[2]
    writer.openings[index] = opening
    return index


def an_entry_that_is_no_line(writer: PackWriter) -> int:
    writer.entries.append(b"no newline")
    return len(writer.entries) - 1


def an_entry_with_personal_text(writer: PackWriter) -> int:
    writer.entries.append("consentkit/1 policy Zoë <zoe@example.com>\n".encode())
    return len(writer.entries) - 1


def a_record_entry_without_a_commitment(writer: PackWriter) -> int:
    writer.entries.append(b"consentkit/1 record xyz\n")
    return len(writer.entries) - 1


def two_records_with_one_place(writer: PackWriter) -> int:
    writer.record("h")
    writer.record("h")
    return writer.record("h", sequence=1)


def a_history_begun_twice(writer: PackWriter) -> int:
    writer.record("h")
    return writer.record("h", sequence=0, previous=None)


def a_record_left_out_of_its_history(writer: PackWriter) -> int:
    writer.record("h")
    gone = writer.record("h")
    writer.entries.pop(gone)
    del writer.openings[gone]
    return writer.record("h")


def two_records_that_follow_the_same_one(writer: PackWriter) -> int:
    first = writer.record("h")
    writer.record("h")
    return writer.record("i", sequence=1, previous=writer.openings[first].commitment)


def a_record_that_follows_another_history(writer: PackWriter) -> int:
    first = writer.record("h")
    return writer.record("i", sequence=1, previous=writer.openings[first].commitment)


def a_record_that_skips_a_number(writer: PackWriter) -> int:
    first = writer.record("h")
    return writer.record("h", sequence=2, previous=writer.openings[first].commitment)


def a_record_that_passes_over_the_one_before(writer: PackWriter) -> int:
    gone = writer.record("i", opened=False)
    writer.line("erased", gone, "request", "2026-11-25")
    writer.record("h")
    return writer.record("h", previous=writer.tails["i"][1])


def a_log_before_named_in_the_middle(writer: PackWriter) -> int:
    return writer.line("predecessor", "example.com/lost", 17, b64(bytes(32)))


WRONG: dict[Callable[[PackWriter], int], str] = {
    a_record_under_a_key_never_introduced: "key-unknown",
    a_record_under_the_log_key: "key-unknown",
    a_record_before_its_key: "key-early",
    a_record_after_its_key_was_retired: "key-retired",
    a_record_in_the_revoked_range: "key-revoked",
    a_key_whose_id_is_not_its_thumbprint: "entry-malformed",
    a_key_of_small_order: "key-invalid",
    a_retired_key_that_comes_back: "key-invalid",
    a_key_retired_twice: "key-invalid",
    a_stranger_retired: "key-invalid",
    a_stranger_revoked: "key-invalid",
    a_record_signed_by_another_than_it_names: "record-signature",
    a_record_edited_and_signed_with_a_retired_key: "key-retired",
    a_record_of_another_log: "record-foreign",
    a_record_with_a_member_too_many: "record-malformed",
    a_record_that_is_no_record: "record-malformed",
    a_record_with_another_algorithm: "record-malformed",
    a_record_under_a_policy_never_published: "policy-unpublished",
    a_record_before_its_policy: "policy-unpublished",
    a_record_with_another_version_of_its_policy: "policy-version",
    a_policy_with_another_version_than_its_entry: "policy-version",
    a_policy_entered_under_two_versions: "policy-version",
    a_policy_that_is_no_json: "policy-malformed",
    a_policy_nested_too_deeply: "policy-malformed",
    a_policy_that_is_no_object: "policy-malformed",
    a_policy_without_a_version: "policy-malformed",
    a_policy_without_its_file: "policy-missing",
    a_notice_without_its_file: "notice-missing",
    a_record_under_a_notice_never_published: "notice-unpublished",
    a_record_before_its_notice: "notice-unpublished",
    a_record_that_is_not_opened: "opening-missing",
    an_erased_record_that_is_opened: "opening-superfluous",
    an_erased_record_to_come: "tombstone-invalid",
    an_erased_policy: "tombstone-invalid",
    records_expired_that_are_to_come: "tombstone-invalid",
    an_opening_of_a_policy: "opening-superfluous",
    a_log_before_named_in_the_middle: "predecessor-misplaced",
    an_entry_that_is_no_line: "entry-malformed",
    an_entry_with_personal_text: "entry-malformed",
    a_record_entry_without_a_commitment: "entry-malformed",
    two_records_with_one_place: "history-repeated",
    a_history_begun_twice: "history-repeated",
    a_record_left_out_of_its_history: "history-gap",
    two_records_that_follow_the_same_one: "history-gap",
    a_record_that_follows_another_history: "history-broken",
    a_record_that_skips_a_number: "history-broken",
    a_record_that_passes_over_the_one_before: "history-broken",
}


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.__name__)
def test_what_the_operator_signed_and_should_not_have_is_found(
    wrong: Callable[[PackWriter], int], tmp_path: Path
) -> None:
    """Exactly that is found, and nothing else."""
    writer = PackWriter()
    writer.record("before")
    index = wrong(writer)
    report = writer.audit(tmp_path)
    assert found(report) == [(WRONG[wrong], index)]
    assert report.exit_code == 1
    assert f"index {index}" in report.verdict


def test_an_erased_record_is_accounted_for(tmp_path: Path) -> None:
    """A tombstone explains a record without opening, and its history goes on across it."""
    writer = PackWriter()
    writer.record("h")
    index = writer.record("h", opened=False)
    writer.record("h")
    writer.line("erased", index, "request", "2026-11-25")
    report = writer.audit(tmp_path)
    assert report.passed
    assert "What 1 erased and 0 expired records said." in report.not_checked


def test_expired_records_are_accounted_for_and_held_ones_stay(tmp_path: Path) -> None:
    """Below the size that an entry expires, only what a hold keeps is opened."""
    writer = PackWriter()
    writer.record("h", opened=False)
    held = writer.record("h")
    writer.record("h", opened=False)
    writer.line("hold", "case-7", "2026-11-25")
    writer.line("expired", len(writer.entries) - 1, "2026-11-25")
    told = {"hold": "case-7", "placed": held + 2, "released": None, "indexes": [held]}
    pack = writer.write(tmp_path)
    (pack / "holds.jsonl").write_text(json.dumps(told) + "\n")
    report = audit(pack, writer.trust)
    assert report.passed
    assert "What 0 erased and 2 expired records said." in report.not_checked


def test_expiry_does_not_reach_beyond_its_size(tmp_path: Path) -> None:
    """A later record has to be opened still, and a smaller expiry takes nothing back."""
    writer = PackWriter()
    writer.record(opened=False)
    writer.line("expired", 4, "2026-11-25")
    writer.line("expired", 1, "2026-11-26")
    index = writer.record(opened=False)
    assert found(writer.audit(tmp_path)) == [("opening-missing", index)]


def with_hold(
    *indexes: int, folder: Path, writer: PackWriter, over: bool = False, **changes: object
) -> AuditReport:
    """Audit a pack with one hold, as the log and `holds.jsonl` tell of it."""
    placed = writer.line("hold", "case-7", "2026-11-25")
    ended = writer.line("release", "case-7", "2026-11-26") if over else None
    told = {"hold": "case-7", "placed": placed, "released": ended, "indexes": indexes} | changes
    pack = writer.write(folder)
    (pack / "holds.jsonl").write_text(json.dumps(told) + "\n")
    return audit(pack, writer.trust)


@pytest.mark.parametrize("released", [False, True])
def test_a_hold_that_the_pack_opens_passes(released: bool, tmp_path: Path) -> None:
    """The report says that it is in force, and on how many records."""
    writer = PackWriter()
    report = with_hold(writer.record(), writer.record(), folder=tmp_path, writer=writer, over=released)
    assert (list(report), report.exit_code) == ([], 0)
    detail = next(check.detail for check in report.checks if check.id == "holds")
    assert detail == ("1 released" if released else "case-7 in force on 2 records")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"released": 9}, "hold-mismatch"),
        ({"placed": 5}, "hold-mismatch"),
        ({"hold": "case-8"}, "hold-mismatch"),
        ({"released": 4}, "hold-malformed"),
        ({"indexes": [3, 3]}, "hold-malformed"),
        ({"indexes": [99]}, "hold-malformed"),
        ({"indexes": ["3"]}, "hold-malformed"),
        ({"indexes": []}, "hold-broken"),
        ({"indexes": [1]}, "hold-broken"),
        ({"more": 1}, "hold-malformed"),
        ({"placed": True}, "hold-malformed"),
        ({"hold": "case 7"}, "hold-malformed"),
    ],
)
def test_a_pack_cannot_tell_otherwise_of_a_hold(
    changes: dict[str, object], expected: str, tmp_path: Path
) -> None:
    """What the log does not say of it, lines in another form, and entries that are no records."""
    writer = PackWriter()
    report = with_hold(writer.record(), folder=tmp_path, writer=writer, **changes)
    assert errors(report)[0] == expected
    assert report.exit_code == 1


def test_a_hold_without_its_records_is_missed(tmp_path: Path) -> None:
    """The log says that there is one; which records it keeps is the pack's to tell."""
    writer = PackWriter()
    index = writer.line("hold", "case-7", "2026-11-25")
    assert found(writer.audit(tmp_path)) == [("hold-unopened", index)]


def test_a_hold_is_told_of_once(tmp_path: Path) -> None:
    """The second line is the one too many."""
    writer = PackWriter()
    with_hold(writer.record(), folder=tmp_path, writer=writer)
    path = tmp_path / "holds.jsonl"
    path.write_bytes(path.read_bytes() * 2)
    assert found(audit(tmp_path, writer.trust)) == [("hold-malformed", None)]


def test_a_record_on_hold_is_neither_erased_nor_expired(tmp_path: Path) -> None:
    """Its tombstone breaks the hold; an expiry leaves it to be opened."""
    writer = PackWriter()
    erased, expired = writer.record("a", opened=False), writer.record("b", opened=False)
    writer.line("expired", expired + 1, "2026-11-24")
    writer.line("erased", erased, "request", "2026-11-24")
    report = with_hold(erased, expired, folder=tmp_path, writer=writer)
    assert sorted(found(report)) == [("hold-broken", erased), ("opening-missing", expired)]


@pytest.mark.parametrize(
    "lines", [("hold", "hold"), ("release",), ("hold", "release", "release"), ("hold", "release", "hold")]
)
def test_holds_begin_and_end_once(lines: tuple[str, ...], tmp_path: Path) -> None:
    """A name is used for one hold."""
    writer = PackWriter()
    *_, last = [writer.line(action, "case-7", "2026-11-25") for action in lines]
    assert ("hold-invalid", last) in found(writer.audit(tmp_path))


def test_what_expired_is_not_opened_unless_a_hold_spared_it(tmp_path: Path) -> None:
    """An opening that should be gone is as wrong as one that is missing."""
    writer = PackWriter()
    left, spared = writer.record("a"), writer.record("b")
    writer.line("hold", "case-7", "2026-11-24")
    writer.line("expired", spared + 1, "2026-11-25")
    pack = writer.write(tmp_path)
    told = {"hold": "case-7", "placed": spared + 1, "released": None, "indexes": [spared]}
    (pack / "holds.jsonl").write_text(json.dumps(told) + "\n")
    assert found(audit(pack, writer.trust)) == [("opening-superfluous", left)]


def test_a_report_says_why_and_when_records_were_erased(tmp_path: Path) -> None:
    """The most frequent reasons first, and how far retention reached."""
    writer = PackWriter()
    indexes = [writer.record(str(number), opened=False) for number in range(40)]
    writer.line("expired", indexes[9] + 1, "2026-11-20")
    for index in indexes[10:20]:
        writer.line("erased", index, "request", "2026-11-25")
    for number, index in enumerate(indexes[20:]):
        writer.line("erased", index, f"reason-{number}", "2026-11-26")
    report = writer.audit(tmp_path)
    detail = next(check.detail for check in report.checks if check.id == "entries")
    assert report.exit_code == 0
    assert "30 erased, 10 expired" in detail
    assert "(10 erased for request, 2026-11-25; 1 erased for reason-0, 2026-11-26;" in detail
    assert detail.endswith("erased for 13 more reasons and days; expired below 13, 2026-11-20)")


def test_an_entry_of_an_unknown_kind_is_said_to_be_unchecked(tmp_path: Path) -> None:
    """A later version of the format does not count as tampering, nor as checked."""
    writer = PackWriter()
    index = writer.line("seal", "x")
    writer.entries.append(b"consentkit/2 record y\n")
    report = writer.audit(tmp_path)
    assert (found(report), report.exit_code) == ([("entry-unknown", index), ("entry-unknown", index + 1)], 3)
    assert "(and 1 more)" in report.verdict


def test_a_log_that_carries_on_after_another_says_so(tmp_path: Path) -> None:
    """The earlier log is not in the pack; the report notes it and does not fail."""
    writer = PackWriter(start=False)
    writer.line("predecessor", "example.com/lost", 17, b64(bytes(32)))
    report = writer.audit(tmp_path)
    assert (found(report), report.exit_code) == ([("log-continued", 0)], 0)


def test_a_record_dated_before_an_earlier_one_is_worth_a_look(tmp_path: Path) -> None:
    """Beyond the skew of 300 seconds an auditor is told; it is no proof of anything."""
    writer = PackWriter()
    writer.record("x", time=START + 300_000)
    writer.record("y", time=START)
    index = writer.record("z", time=START - 1)
    report = writer.audit(tmp_path)
    assert (found(report), report.exit_code) == ([("time-backwards", index)], 0)
    assert next(check for check in report.checks if check.id == "times").detail.endswith("1 worth a look")


def test_a_key_introduced_twice_is_harmless(tmp_path: Path) -> None:
    """Processes may race to introduce a key; the first introduction counts."""
    writer = PackWriter()
    writer.record()
    writer.add_key(writer.record_key)
    writer.record()
    assert writer.audit(tmp_path).passed


def test_a_key_signs_until_it_is_retired_and_another_takes_over(tmp_path: Path) -> None:
    """Rotation as it should be."""
    writer = PackWriter()
    writer.record("h")
    new = signer("new")
    writer.add_key(new)
    writer.record("h", key=new)
    writer.add_key(writer.record_key, "retire")
    writer.record("h", key=new)
    assert writer.audit(tmp_path).passed


def test_a_key_revoked_from_the_future_on_spoils_nothing(tmp_path: Path) -> None:
    """Records below the first distrusted index stand; a second revocation can only reach further back."""
    writer = PackWriter()
    first = writer.record("h")
    writer.record("h")
    writer.line("key", "revoke", "record", writer.record_key.key_id, first + 1)
    writer.line("key", "revoke", "record", writer.record_key.key_id, first + 5)
    assert found(writer.audit(tmp_path)) == [("key-revoked", first + 1)]


def test_a_record_with_optional_fields_or_in_another_spelling_is_a_record(tmp_path: Path) -> None:
    """Any JSON that says what a record says will do."""
    writer = PackWriter()
    writer.record("h", extra={"user_agent": "Lynx"})
    index = writer.record("i", notice=None, region=None, expires=None)
    claims = claims_of(writer, index)
    shuffled = dict(reversed(list(claims.items()))) | {"previous": b64(writer.tails["i"][1]), "sequence": 1}
    head = {"typ": RECORD_TYPE, "kid": writer.record_key.key_id, "alg": "Ed25519"}
    signed = ".".join(b64(json.dumps(part, indent=1).encode()) for part in (head, shuffled))
    writer.opening(f"{signed}.{b64(writer.record_key.sign(signed.encode()))}", ())
    assert writer.audit(tmp_path).passed


def test_many_findings_of_one_kind_are_counted_and_not_kept(tmp_path: Path) -> None:
    """A report stays readable, and memory bounded, when everything is wrong."""
    writer = PackWriter()
    for number in range(150):
        writer.record(f"h{number}", opened=number == 0)
    report = writer.audit(tmp_path)
    assert len(report.findings) == 100
    assert report.more == {"opening-missing": 49}
    assert next(check for check in report.checks if check.id == "entries").detail == "149 wrong"


def test_tombstones_beyond_a_gap_in_the_log_are_not_invented(tmp_path: Path) -> None:
    """The commitment of a record is what its opening has to match, whatever the operator would like."""
    writer = PackWriter()
    index = writer.record()
    writer.entries[index] = entry_line(seeded("other", 32))
    assert errors(writer.audit(tmp_path)) == ["opening-mismatch"]


def test_pseudonyms_are_of_no_account_in_the_tree() -> None:
    """The writer of these tests keeps histories apart by name."""
    assert pseudonym("a") != pseudonym("b")
    assert digest(NOTICE) != digest(POLICY)


def test_the_tables_of_wrongs_cover_every_error_that_entries_and_records_can_have() -> None:
    """No finding about the log's own content exists without a case above that shows it."""
    about = {"entries", "keys", "openings", "records", "histories", "policies", "notices"}
    elsewhere = {
        "opening-malformed", "opening-misplaced", "opening-mismatch", "disclosure-mismatch",
        "policy-mismatch", "notice-mismatch",
    }  # fmt: skip
    ids = {
        name
        for name, (check, severity, _) in FINDINGS.items()
        if check in about and severity == Severity.ERROR
    }
    assert ids - elsewhere == set(WRONG.values())


def successor(size: int, root: bytes, log_name: str = "example.com/lost") -> PackWriter:
    """A log that carries on after another one."""
    writer = PackWriter()
    writer.entries.insert(0, f"consentkit/1 predecessor {log_name} {size} {b64(root)}\n".encode())
    return writer


def earlier(size: int, root: bytes) -> tuple[bytes, str]:
    """A checkpoint that the lost log signed, and the line by which a trust file accepts it."""
    key = NoteSigner("example.com/lost", signer("log example.com/lost"))
    return sign_note(Checkpoint(key.name, size, root).text(), key), f"log {key.verifier}\n"


@pytest.mark.parametrize(
    ("size", "root", "expected", "code"),
    [
        (17, bytes(32), [], 0),
        (17, b"\1" * 32, ["previous-fork"], 1),
        (18, bytes(32), ["previous-rollback"], 1),
        (16, bytes(32), ["previous-unchecked"], 3),
    ],
)
def test_a_checkpoint_of_the_log_before_is_compared_with_its_end(
    tmp_path: Path, size: int, root: bytes, expected: list[str], code: int
) -> None:
    """A recovery that drops what somebody has seen is found out; an older checkpoint needs the older pack."""
    writer = successor(17, bytes(32))
    note, line = earlier(size, root)
    trust = TrustPolicy.parse(line + writer.trust_text)
    report = audit(writer.write(tmp_path), trust, previous=note)
    ids = [finding.id for finding in report.findings if finding.id != "log-continued"]
    assert (ids, report.exit_code) == (expected, code)
    assert any("example.com/lost" in remark for remark in report.not_checked)


def test_a_checkpoint_of_any_other_log_is_of_no_use(tmp_path: Path) -> None:
    """Only the log that is named came before."""
    writer = successor(17, bytes(32), "example.com/another")
    note, line = earlier(17, bytes(32))
    report = audit(writer.write(tmp_path), TrustPolicy.parse(line + writer.trust_text), previous=note)
    assert "previous-fork" in [finding.id for finding in report.findings]


def test_a_log_does_not_carry_on_after_itself(tmp_path: Path) -> None:
    """That would excuse whatever became of it."""
    report = successor(17, bytes(32), LOG_NAME).audit(tmp_path)
    assert ("predecessor-misplaced", 0) in found(report)
    assert report.exit_code == 1
