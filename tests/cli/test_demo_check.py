"""``consentkit demo --check``: it holds, it fails when something does not, and its parts judge by themselves."""

import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from consentkit.audit import AuditReport, audit
from consentkit.cli.demo_check import evidence, runner
from consentkit.cli.demo_check.expect import Wrong, expect
from consentkit.cli.demo_check.forge import Pack
from consentkit.cli.demo_check.jar import Jar, parse_set_cookie
from consentkit.cli.demo_check.page import parse_page
from consentkit.cli.demo_check.processes import Server, free_port
from consentkit.cli.demo_site.folder import DemoFolder
from consentkit.evidence.export import export
from consentkit.keys import Ed25519Signer, Keys
from consentkit.tlog import TrustPolicy

SEED = 20261102


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], DemoFolder]:
    """One whole check, run as the command that users run, in a folder that stays."""
    folder = DemoFolder(tmp_path_factory.mktemp("check") / "data")
    command = [
        sys.executable,
        "-m",
        "consentkit",
        "demo",
        "--check",
        "--seed",
        str(SEED),
        "--data",
        str(folder.root),
    ]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False), folder


@pytest.fixture(scope="module")
def pack(checked, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pack of the ledger that the check left behind."""
    target = tmp_path_factory.mktemp("pack") / "pack"
    export(checked[1].ledger, target)
    return target


def test_everything_holds(checked) -> None:
    """Every check has a line with a tick, the seed is printed, and the exit code is 0."""
    done, _ = checked
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert f"seed {SEED}" in lines[0]
    assert len([line for line in lines if line.startswith("\u2713 ")]) == len(runner._CHECKS)
    assert re.fullmatch(rf"All {len(runner._CHECKS)} checks held in [0-9.]+ s\.", lines[-1])


def test_every_check_says_what_it_shows() -> None:
    """A title each, and none twice."""
    titles = [(check.__doc__ or "").splitlines()[0] for check in runner._CHECKS]
    assert all(titles)
    assert len(set(titles)) == len(titles)


def test_a_check_that_fails_says_what_was_expected_and_got(capsys) -> None:
    """The others are still made, and the failed ones are returned."""

    def bad(world: object) -> None:
        """The sea is dry"""
        expect("what is in it", frozenset({"water", "fish"}), frozenset())

    def broken(world: object) -> None:
        """The moon answers"""
        raise KeyError("moon")

    def good(world: object) -> None:
        """Stones are hard"""

    assert runner._make([bad, broken, good], None) == [bad, broken]
    out = capsys.readouterr().out
    assert (
        "\u2717 The sea is dry\n    what is in it\n    expected: []\n    got:      ['fish', 'water']\n" in out
    )
    assert "\u2717 The moon answers" in out
    assert "KeyError: 'moon'" in out
    assert "\u2713 Stones are hard" in out


def test_a_terminal_without_ticks_gets_words(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain ASCII is enough to read the outcome."""
    monkeypatch.setattr(type(sys.stdout), "encoding", "ascii", raising=False)
    runner._say(("\u2713", "ok"), "green", "fine")
    assert capsys.readouterr().out == "ok fine\n"


def test_a_failed_check_fails_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """Exit code 1, and how to run the same again."""

    def bad(world: object) -> None:
        """Nothing is ever right"""
        raise Wrong("it", 1, (2, frozenset({"b", "a"})))

    monkeypatch.setattr(runner, "_CHECKS", (bad,))
    monkeypatch.setattr(Server, "start", lambda self: None)
    assert runner.run(tmp_path / "new", None, 5) == 1
    out = capsys.readouterr().out
    assert "got:      (2, ['a', 'b'])" in out
    assert "1 of 1 checks failed" in out
    assert "consentkit demo --check --seed 5" in out


def test_a_demo_that_does_not_start_fails_the_command(tmp_path: Path, capsys) -> None:
    """What the server printed is shown."""
    (tmp_path / "data").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "consentkit.cli.demo_check.processes._command",
            lambda *_: [sys.executable, "-c", "print('no sea')"],
        )
        assert runner.run(tmp_path / "data", None, None) == 1
    assert "no sea" in capsys.readouterr().out


def test_being_stopped_is_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """A check that was interrupted has exit code 130."""
    import os
    import signal

    monkeypatch.setattr(runner, "_run", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    assert runner.run(tmp_path / "new", None, None) == 130
    assert "Stopped before" in capsys.readouterr().out


# Tampering


def judged(folder: Path, checked) -> AuditReport:
    return audit(folder, TrustPolicy.parse(checked[1].trust.read_bytes()))


def copied(pack: Path, to: Path, checked) -> Pack:
    return Pack.copy(pack, to, Keys.load(checked[1].keys))


def test_the_same_seed_tampers_with_the_same_byte(pack: Path, tmp_path: Path, checked) -> None:
    """So a failure can be looked at again."""
    flips = [
        evidence.random_flip(copied(pack, tmp_path / name, checked), random.Random(SEED)) for name in "ab"
    ]
    assert flips[0] == flips[1]


def test_any_changed_byte_is_found_and_its_file_named(pack: Path, tmp_path: Path, checked) -> None:
    """Wherever the seed leads: the check must not fail for a byte that an audit has no business with."""
    source = random.Random(SEED)
    for number in range(60):
        copy = copied(pack, tmp_path / str(number), checked)
        file, what = evidence.random_flip(copy, source)
        report = judged(copy.folder, checked)
        assert report.exit_code == 1, what
        assert file in {finding.file for finding in report}, what
        shutil.rmtree(copy.folder)


def test_every_kind_of_file_may_be_tampered_with(pack: Path, checked) -> None:
    """All but the one that explains the pack to people."""
    files = Pack(pack, Keys.load(checked[1].keys)).files()
    kinds = {file.split("/")[0] for file in files}
    assert kinds >= {"log", "checkpoints", "openings", "policies", "notices"}
    assert "README.md" not in files


def test_a_pack_rebuilt_unchanged_still_verifies(pack: Path, tmp_path: Path, checked) -> None:
    """Forgeries are found for what they change, not for how they are made."""
    copy = copied(pack, tmp_path / "copy", checked)
    copy.write_openings(copy.openings())
    copy.rebuild(copy.entries())
    assert judged(copy.folder, checked).exit_code == 0


def test_a_rewritten_record_is_found_by_its_signature_alone(pack: Path, tmp_path: Path, checked) -> None:
    """The tree fits, so nothing else can tell."""
    copy = copied(pack, tmp_path / "copy", checked)
    index = copy.rewrite_record(0, lambda _: None, Ed25519Signer.generate(), claim=copy.keys.record.key_id)
    assert {(finding.id, finding.index) for finding in judged(copy.folder, checked)} >= {
        ("record-signature", index)
    }


# What visitors judge by


def test_a_page_is_read_as_a_visitor_sees_it() -> None:
    """Texts by the element that they are in, forms with their toggles, no scripts' text."""
    page = parse_page(
        '<html lang="fr"><body><div id="a">One<br><p>two <b>three</b></div>'
        '<form action="/x" method="post"><input type="hidden" name="h" value="1">'
        '<input type="checkbox" name="on" value="t" checked><input type="checkbox" name="on" value="u">'
        '<button name="control" value="yes" class="c">Yes</button><button type="button">No</button></form>'
        "<script src=/s.js></script><script>var no</script><a href=/l>link</a></body></html>"
    )
    assert (page.language, page.text("a"), page.scripts, page.links) == (
        "fr",
        "One two three",
        ["/s.js"],
        ["/l"],
    )
    form = page.form("/x", "yes")
    assert (form.fields, form.toggles) == ({"h": "1"}, {"t": True, "u": False})
    assert [(one.label, one.attributes) for one in form.buttons] == [("Yes", {"class": "c"})]
    assert "var no" not in page.text()


def test_what_is_not_on_the_page_is_said_to_be_missing() -> None:
    """A form or a button that is not there is a finding, not an accident."""
    page = parse_page('<form action="/x"><button value="a">A</button></form>')
    with pytest.raises(Wrong, match="has a form with the choice 'b'"):
        page.form("/x", "b")
    with pytest.raises(Wrong, match="has a button that posts 'b'"):
        page.forms[0].button("b")


@pytest.mark.parametrize(
    ("header", "gone"),
    [
        ("a=b; Path=/", False),
        ("a=b; Max-Age=0; Path=/", True),
        ("a=b; Max-Age=5; Expires=Thu, 01 Jan 1970 00:00:00 GMT", False),
        ("a=b; Expires=Thu, 01 Jan 1970 00:00:00 GMT", True),
    ],
)
def test_a_cookie_is_deleted_as_browsers_do(header: str, gone: bool) -> None:
    """`Max-Age` wins over `Expires`."""
    assert parse_set_cookie(header).gone is gone


def test_a_deletion_reaches_only_the_cookie_of_its_path() -> None:
    """A site that deletes in the wrong folder has deleted nothing."""
    jar = Jar()
    jar.take(
        (
            parse_set_cookie("a=1; Path=/"),
            parse_set_cookie("b=1; Path=/news"),
            parse_set_cookie("c=1; Domain=x.y"),
        )
    )
    assert (jar.header("/"), jar.header("/news/x"), jar.header("/newsagent")) == ("a=1", "a=1; b=1", "a=1")
    jar.take((parse_set_cookie("a=; Max-Age=0; Path=/news"),))
    assert jar.get("a") == "1"
    jar.take((parse_set_cookie("a=; Max-Age=0; Path=/"),))
    assert jar.names() == {"b"}


def test_a_server_that_was_never_started_is_stopped_easily(tmp_path: Path) -> None:
    """Cleaning up after a failed start does not fail in turn."""
    server = Server(tmp_path, free_port(), tmp_path / "log")
    server.kill()
    assert server.stop() == 0
