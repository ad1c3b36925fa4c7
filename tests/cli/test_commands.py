"""What each command tells, and its exit code."""

import json
import os
import pty
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from consentkit import ConsentManager
from consentkit._data import schema_text
from consentkit.audit import audit
from consentkit.errors import PolicyError, Problem
from consentkit.keys import Keys
from consentkit.tlog import TrustPolicy
from tests.cli.conftest import POLICIES, Desk, run
from tests.cli.test_root import SCRIPT

BLOG, NEWS = POLICIES / "small-blog.json", POLICIES / "news-site.json"


@pytest.fixture
def desk(shared_desk: Desk, tmp_path: Path) -> Desk:
    """A copy of the desk, to be spoiled."""
    return Desk(Path(shutil.copytree(shared_desk.folder, tmp_path / "desk")))


def edited(folder: Path, **changes: Any) -> Path:
    path = folder / "policy.json"
    path.write_text(json.dumps(json.loads(BLOG.read_text()) | changes))
    return path


# policy check


@pytest.mark.parametrize("path", sorted(POLICIES.glob("*.json")), ids=lambda path: path.stem)
def test_a_valid_policy_is_summed_up(path: Path) -> None:
    """Its version, digest, categories, services and regimes."""
    result = run("policy", "check", path)
    assert result.exit_code == 0
    assert result.output.startswith(f"{path}: valid\n")
    assert "digest" in result.output


def test_all_problems_of_a_policy_are_told_by_section(tmp_path: Path) -> None:
    """Pointer, value and what would be right, for each of them at once."""
    path = edited(tmp_path, languages=[], surplus=1, categories={"Analytics": {}})
    result = run("policy", "check", path)
    lines = result.output.splitlines()
    assert result.exit_code == 1
    assert lines[0].startswith(f"{path}: ")
    assert [line for line in lines if line in ("categories", "languages", "surplus")] == [
        "categories",
        "languages",
        "surplus",
    ]
    assert any(line.startswith("  /surplus  ") for line in lines)
    assert '    value  "surplus"' in lines
    assert any(line.startswith("    right  ") for line in lines)


def test_a_policy_that_is_no_json_is_not_valid(tmp_path: Path) -> None:
    """A problem of the document as a whole."""
    (tmp_path / "policy.json").write_text("{")
    result = run("policy", "check", tmp_path / "policy.json")
    assert result.exit_code == 1
    assert "1 problem\n\nthe document\n" in result.output


def test_what_the_banner_cannot_show_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """The form may be right and a language missing."""
    problem = Problem("/languages/1", "tlh", "there are no texts in this language", "one of en, fr")
    monkeypatch.setattr("consentkit.banner.check", lambda policy: [problem])
    result = run("policy", "check", BLOG)
    assert result.exit_code == 1
    assert "/languages/1  there are no texts" in result.output


def test_a_long_value_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole document is not repeated in one line."""
    monkeypatch.setattr("consentkit.banner.check", lambda policy: [Problem("/x", "y" * 1000, "too long")])
    result = run("policy", "check", BLOG)
    assert "y..." in result.output
    assert len(max(result.output.splitlines(), key=len)) < 300


def test_a_weaker_fallback_by_oversight_is_a_problem(tmp_path: Path) -> None:
    """What opening the manager would refuse is told beforehand, with all the rest."""
    document = json.loads(NEWS.read_text())
    weaker = next(name for name, regime in document["regimes"].items() if regime["model"] != "opt-in")
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(document | {"fallback": {"regime": weaker}, "languages": ["en", "tlh"]}))
    assert run("policy", "check", path).exit_code == 1
    path.write_text(json.dumps(document | {"fallback": {"regime": weaker}}))
    result = run("policy", "check", path)
    assert result.exit_code == 1
    assert "/fallback/regime" in result.output
    assert "allow_weaker" in result.output
    with pytest.raises(PolicyError, match="/fallback/regime"):
        ConsentManager.open(path, ledger="sqlite:///unused.db", keys=Keys.generate("example.com/consent"))
    path.write_text(json.dumps(document | {"fallback": {"regime": weaker, "allow_weaker": True}}))
    assert run("policy", "check", path).exit_code == 0


# policy schema


def test_the_schema_is_printed_as_it_ships() -> None:
    """An editor can use it: it is a schema, and the examples follow it."""
    result = run("policy", "schema")
    assert (result.exit_code, result.output) == (0, schema_text("policy"))
    schema = Draft202012Validator(json.loads(result.output))
    schema.check_schema(schema.schema)
    assert schema.is_valid(json.loads(NEWS.read_text()))


# policy diff


def test_the_same_policy_asks_nobody_again() -> None:
    """No change, no question."""
    result = run("policy", "diff", BLOG, BLOG)
    assert result.exit_code == 0
    assert "asked again: nobody\n" in result.output
    assert "the same policy, to the digest" in result.output
    assert "analytics: earlier answers count" in result.output


def test_a_version_that_is_given_twice_is_told(tmp_path: Path) -> None:
    """Two policies of one name cannot be told apart in a record."""
    path = edited(tmp_path, **{"x-remark": 1})
    result = run("policy", "diff", BLOG, path)
    assert "Both are called 1, but they differ." in result.output
    assert json.loads(run("policy", "diff", BLOG, path, "--json").output)["version_reused"]
    other = edited(tmp_path, version="2")
    assert "Both are called" not in run("policy", "diff", BLOG, other).output
    assert not json.loads(run("policy", "diff", BLOG, other, "--json").output)["version_reused"]


def test_a_stricter_rule_asks_who_never_agreed_expressly(tmp_path: Path) -> None:
    """Nothing widened, and yet somebody is asked: the summary says who, the sections say why."""
    document = json.loads(NEWS.read_text())
    document["regimes"]["implied"]["model"] = "opt-in"
    document["regimes"]["implied"]["models"] = {}
    document["regimes"]["implied"]["exempt"] = {}
    document["controller"]["name"] = "Another House"
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(document))
    result = run("policy", "diff", NEWS, path)
    summary = next(line for line in result.output.splitlines() if line.startswith("asked again: "))
    assert summary.endswith(" in AU, JP, US, unless agreed to expressly")
    assert "analytics" in summary
    assert "regimes:\n    implied: model opt-in instead of implied" in result.output
    assert "  + implied: AU, JP, US: whoever has not agreed expressly is asked now" in result.output
    assert "controller:\n    responsible Another House instead of" in result.output


def test_a_wider_policy_tells_who_is_asked_again_and_why() -> None:
    """By category, widening changes marked."""
    result = run("policy", "diff", BLOG, NEWS)
    assert result.exit_code == 0
    for words in (
        "asked again: analytics, marketing, preferences", "marketing: asked again", "+ new category",
        "comments: gone", "necessary: never asked",
    ):  # fmt: skip
        assert words in result.output


def test_a_diff_in_json_follows_its_schema() -> None:
    """For a deployment that wants to know before its visitors do."""
    schema = Draft202012Validator(json.loads(schema_text("policy-diff")))
    document = json.loads(run("policy", "diff", BLOG, NEWS, "--json").output)
    schema.validate(document)
    assert document["asked_again"] == ["analytics", "marketing", "preferences"]
    assert {"category-added", "service-added"} <= {change["kind"] for change in document["changes"]}
    assert {"regions-moved", "retention-changed"} <= {rule["kind"] for rule in document["rules"]}
    assert not schema.is_valid(document | {"more": 1})


def test_an_invalid_policy_has_no_diff(tmp_path: Path) -> None:
    """Either side's problems are told."""
    path = edited(tmp_path, languages=[])
    for pair in ((BLOG, path), (path, BLOG)):
        result = run("policy", "diff", *pair)
        assert result.exit_code == 1
        assert result.output.startswith(f"{path}: ")


# keys new


def test_new_keys_are_written_with_safe_modes(tmp_path: Path) -> None:
    """Secrets for the site, a trust file for its auditors."""
    result = run("keys", "new", tmp_path / "keys", "--log-name", "example.com/consent")
    assert result.exit_code == 0
    assert str(tmp_path / "keys/trust.txt") in result.output
    assert stat.S_IMODE((tmp_path / "keys/log.pem").stat().st_mode) == 0o600
    assert (
        TrustPolicy.parse((tmp_path / "keys/trust.txt").read_bytes()).log_keys[0].name
        == "example.com/consent"
    )


def test_keys_are_never_overwritten(tmp_path: Path) -> None:
    """A second run leaves the first one's keys alone."""
    arguments = ("keys", "new", tmp_path / "keys", "--log-name", "example.com/consent")
    run(*arguments)
    before = (tmp_path / "keys/log.pem").read_bytes()
    result = run(*arguments)
    assert (result.exit_code, (tmp_path / "keys/log.pem").read_bytes()) == (1, before)


def test_a_name_that_no_log_can_have_is_refused(tmp_path: Path) -> None:
    """Before anything is written."""
    result = run("keys", "new", tmp_path / "keys", "--log-name", "with space")
    assert result.exit_code == 1
    assert not (tmp_path / "keys").exists()


# ledger export


def test_a_ledger_is_exported_and_passes_its_audit(desk: Desk, tmp_path: Path) -> None:
    """From a URL to a pack, without keys."""
    result = run("ledger", "export", desk.url, tmp_path / "new")
    assert (result.exit_code, "consentkit audit" in result.output) == (0, True)
    assert audit(tmp_path / "new", TrustPolicy.parse(desk.trust.read_bytes())).passed


def test_a_ledger_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    """And no empty one is left behind."""
    result = run("ledger", "export", f"sqlite:///{tmp_path}/none.db", tmp_path / "new")
    assert result.exit_code == 1
    assert "no ledger" in result.stderr
    assert list(tmp_path.iterdir()) == []


# receipt verify


def test_a_receipt_that_holds_is_told_in_words(shared_desk: Desk) -> None:
    """What was chosen, when, in which log, and what a receipt cannot show."""
    result = run("receipt", "verify", shared_desk.receipt, "--trust", shared_desk.trust)
    assert result.exit_code == 0
    for words in (
        "The receipt holds.", "allowed    analytics", "refused    comments", "given, by banner", "example.com/consent, entry 4 of 5",
        "Not checked", "retired or revoked",
    ):  # fmt: skip
        assert words in result.output


def test_a_receipt_that_was_changed_does_not_hold(desk: Desk) -> None:
    """One character is enough."""
    text = desk.receipt.read_text()
    place = text.index('"record":"') + 200
    desk.receipt.write_text(text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :])
    result = run("receipt", "verify", desk.receipt, "--trust", desk.trust)
    assert (result.exit_code, result.stdout) == (1, "")
    assert str(desk.receipt) in result.stderr


def test_a_receipt_needs_a_trust_file_that_can_be_used(desk: Desk) -> None:
    """That one is the caller's to bring."""
    desk.trust.write_text("nonsense\n")
    result = run("receipt", "verify", desk.receipt, "--trust", desk.trust)
    assert result.exit_code == 2
    assert "line 1" in result.stderr


# audit


def test_an_audit_lists_its_checks_and_ends_with_the_verdict(shared_desk: Desk) -> None:
    """One line each, what was not checked, and the verdict last."""
    result = run("audit", shared_desk.pack, "--trust", shared_desk.trust)
    lines = result.output.splitlines()
    assert result.exit_code == 0
    assert next(line for line in lines if line.startswith("ok")).split()[1:3] == ["Trust", "file"]
    assert len([line for line in lines if line.startswith(("ok ", "-  "))]) == 16
    assert "Not checked, and not checkable with this pack:" in lines
    assert lines[-1].startswith("VERIFIED: ")
    assert "Found:" not in lines


def test_an_audit_names_the_first_bad_file_and_index(desk: Desk) -> None:
    """Exit code 1, and where to look."""
    path = desk.pack / "openings/000.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"index":4', b'"index":3'))
    result = run("audit", desk.pack, "--trust", desk.trust)
    assert result.exit_code == 1
    assert "Found:" in result.output
    assert result.output.splitlines()[-1].startswith("FAILED at openings/000.jsonl, index 3: ")


def test_an_audit_that_could_not_check_something_is_3(desk: Desk) -> None:
    """Neither a success nor tampering."""
    (desk.pack / "stray\n\x1b[31m.txt").write_text("?")
    result = run("audit", desk.pack, "--trust", desk.trust)
    assert result.exit_code == 3
    assert "open    Files" in result.output
    assert "stray\\n\\x1b[31m.txt" in result.output
    assert "\x1b" not in result.output
    assert result.output.splitlines()[-1].startswith("INCOMPLETE: ")


def test_an_audit_counts_what_it_does_not_list(desk: Desk) -> None:
    """A hundred strays are enough to see."""
    for number in range(130):
        (desk.pack / f"stray-{number}").write_text("?")
    assert "  ... and 30 more of file-unexpected" in run("audit", desk.pack, "--trust", desk.trust).output


def test_an_audit_in_json_follows_its_schema(shared_desk: Desk, desk: Desk) -> None:
    """And keeps its exit code."""
    schema = Draft202012Validator(json.loads(schema_text("audit-report")))
    (desk.pack / "log/checkpoint").unlink()
    for pack, code in ((shared_desk.pack, 0), (desk.pack, 1)):
        result = run("audit", pack, "--trust", shared_desk.trust, "--json")
        document = json.loads(result.output)
        schema.validate(document)
        assert (result.exit_code, document["verdict"]["exit_code"]) == (code, code)


def test_an_audit_takes_an_earlier_checkpoint(shared_desk: Desk, tmp_path: Path) -> None:
    """What was kept last time is asked for this time."""
    kept = Path(shutil.copy(shared_desk.pack / "log/checkpoint", tmp_path / "kept"))
    result = run("audit", shared_desk.pack, "--trust", shared_desk.trust, "--previous", kept)
    assert result.exit_code == 0
    assert "extends the one of 5 entries" in result.output


def test_an_earlier_checkpoint_that_is_none_is_wrong_usage(shared_desk: Desk, tmp_path: Path) -> None:
    """It is the auditor's own."""
    (tmp_path / "kept").write_text("nonsense")
    result = run("audit", shared_desk.pack, "--trust", shared_desk.trust, "--previous", tmp_path / "kept")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--previous" in result.stderr


@pytest.mark.parametrize("option", ["--trust", "--previous"])
def test_what_lies_in_the_pack_cannot_vouch_for_it(option: str, desk: Desk) -> None:
    """A trust file or a checkpoint from the pack, even by a link, is wrong usage."""
    inside = Path(shutil.copy(desk.trust, desk.pack / "trust.txt"))
    link = desk.folder / "link"
    link.symlink_to(inside)
    for path in (inside, link):
        options = {"--trust": desk.trust} | {option: path}
        result = run("audit", desk.pack, *[part for pair in options.items() for part in pair])
        assert result.exit_code == 2
        assert "lies in the pack" in result.stderr


@pytest.mark.parametrize("content", ["", "nonsense\n", "quorum none\nquorum none\n", "log x\n", "\x00"])
def test_a_trust_file_that_cannot_be_used_is_wrong_usage(content: str, desk: Desk) -> None:
    """No verdict without somebody to trust."""
    desk.trust.write_text(content)
    result = run("audit", desk.pack, "--trust", desk.trust)
    assert (result.exit_code, result.stdout) == (2, "")


def test_a_trust_file_that_cannot_be_read_is_wrong_usage(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad disk under the auditor's own file is no finding about the pack."""

    def read_bytes(path: Path) -> bytes:
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    result = run("audit", desk.pack, "--trust", desk.trust)
    assert (result.exit_code, "Input/output error" in result.stderr) == (2, True)


def test_a_trust_file_that_trusts_no_log_verifies_nothing(desk: Desk) -> None:
    """It may be written so, and then nothing is signed as it demands."""
    desk.trust.write_text("quorum none\n")
    assert run("audit", desk.pack, "--trust", desk.trust).exit_code == 1


def on_a_terminal(*arguments: object) -> str:
    """Return what the installed script shows on standard error when that is a terminal."""
    ours, theirs = pty.openpty()
    command = [str(SCRIPT), *map(str, arguments)]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        try:
            while data := os.read(ours, 4096):
                shown += data
        except OSError:  # EIO: the other end is closed
            pass
        process.wait(60)
    os.close(ours)
    return shown.decode(errors="replace")


def test_long_work_shows_progress_on_a_terminal_and_none_in_a_pipe(shared_desk: Desk) -> None:
    """A person sees that something happens, a log file is spared."""
    arguments = ("audit", shared_desk.pack, "--trust", shared_desk.trust)
    assert "records" in on_a_terminal(*arguments)
    result = subprocess.run(
        [str(SCRIPT), *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
