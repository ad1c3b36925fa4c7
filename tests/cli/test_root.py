"""The command as a whole: its help, its errors and its exit codes."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

from consentkit import __version__, cli
from consentkit.cli import root
from consentkit.cli.output import Failure, own_command, printable
from consentkit.errors import InvalidKey
from tests.cli.conftest import Desk, run

SCRIPT = Path(sys.executable).with_name("consentkit")


def script(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the installed script as a process of its own."""
    command = [str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize("name", root._COMMANDS)
def test_the_list_of_commands_says_what_each_says_itself(name: str) -> None:
    """Help is listed without importing a command, and still its own."""
    command = import_module(f"consentkit.cli.{name.replace(' ', '_')}").command
    assert isinstance(command, click.Command)
    assert command.name == name.rsplit(maxsplit=1)[-1]
    assert (command.help or "").splitlines()[0] == root._COMMANDS[name]


def test_every_group_is_described() -> None:
    """Groups exist for exactly the first words of longer commands."""
    assert set(root._GROUPS) == {name.split()[0] for name in root._COMMANDS if " " in name}


@pytest.mark.parametrize("name", sorted({*root._COMMANDS, *root._GROUPS}))
def test_every_command_and_group_has_help(name: str) -> None:
    """`--help` and `-h` work everywhere and end well."""
    for option in ("--help", "-h"):
        result = run(*name.split(), option)
        assert result.exit_code == 0
        assert result.output.startswith("Usage: consentkit")


def test_help_loads_no_command() -> None:
    """The first thing that anybody types answers at once."""
    code = (
        "import sys; from consentkit.cli import main; main(['--help']);"
        "print(*[name for name in sys.modules if name.startswith(('consentkit', 'rich', 'jsonschema', 'cryptography'))])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(loaded.stdout.splitlines()[-1].split())
    assert modules == {
        "consentkit",
        "consentkit.cli",
        "consentkit.cli.root",
        "consentkit.cli.output",
        "consentkit.errors",
    }


def test_the_version_is_told() -> None:
    """The installed script is this package's."""
    assert script("--version").stdout == f"consentkit, version {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [], ["nonsense"], ["policy"], ["policy", "nonsense"], ["policy", "check"], ["policy", "check", "no such file"],
        ["audit"], ["audit", "."], ["audit", "no such folder", "--trust", "x"], ["--nonsense"], ["keys", "new", "x"],
        ["ledger", "export", "sqlite:///x"], ["receipt", "verify", "no such file", "--trust", "x"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    """In the script and in this process alike."""
    assert run(*arguments).exit_code == 2
    assert cli.main(arguments) == 2


def test_the_script_returns_what_the_command_returns(shared_desk: Desk, tmp_path: Path) -> None:
    """Exit codes reach the shell."""
    (tmp_path / "policy.json").write_text("{}")
    assert script("policy", "check", tmp_path / "policy.json").returncode == 1
    assert script("policy", "check").returncode == 2
    assert script("audit", shared_desk.pack, "--trust", shared_desk.trust).returncode == 0


def test_an_error_comes_with_its_remedy(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What is wrong, then what to do, on standard error."""
    (tmp_path / "log.pem").write_text("")
    assert cli.main(["keys", "new", str(tmp_path), "--log-name", "example.com/consent"]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines()[0].startswith("Error: ")
    assert "never overwritten" in err.splitlines()[1]


def test_an_error_without_remedy_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing to do is nothing said."""
    Failure.of(InvalidKey("no key")).show()
    assert capfd.readouterr().err == "Error: no key\n"


def test_an_error_of_the_system_is_a_sentence(shared_desk: Desk, tmp_path: Path) -> None:
    """A folder that is a file, a disk that is full: no traceback."""
    (tmp_path / "file").write_text("")
    result = script("keys", "new", tmp_path / "file" / "keys", "--log-name", "example.com/consent")
    assert (result.returncode, "Traceback" in result.stderr) == (1, False)
    assert result.stderr.startswith("Error: ")


def test_other_errors_of_the_system_are_sentences_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whatever a command did not foresee about a file is told with the file's name."""

    def write_keys(folder: Path, log_name: str) -> None:
        raise OSError(28, "No space left on device", str(folder))

    monkeypatch.setattr("consentkit.keys.write_keys", write_keys)
    result = run("keys", "new", tmp_path, "--log-name", "example.com/consent")
    assert (result.exit_code, result.stderr) == (1, f"Error: {tmp_path}: No space left on device\n")


def test_without_the_extra_a_sentence_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The script is installed with the core, which does without click."""
    for name in ("consentkit.cli.root", "consentkit.cli.output"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "click", None)
    assert cli.main([]) == 2
    err = capfd.readouterr().err
    assert '"click", which is not installed' in err
    assert 'pip install "consentkit[cli]"' in err


def test_another_missing_module_is_not_taken_for_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what the extra brings is explained away."""
    monkeypatch.delitem(sys.modules, "consentkit.cli.root")
    monkeypatch.setitem(sys.modules, "consentkit.errors", None)
    with pytest.raises(ModuleNotFoundError, match=r"consentkit\.errors"):
        cli.main([])


def test_a_reader_that_goes_away_is_no_error(shared_desk: Desk) -> None:
    """`consentkit audit ... | head -1` ends quietly."""
    read, write = os.pipe()
    os.close(read)
    command = [str(SCRIPT), "audit", str(shared_desk.pack), "--trust", str(shared_desk.trust)]
    with subprocess.Popen(command, stdout=write, stderr=subprocess.PIPE, text=True) as process:
        os.close(write)
        assert process.stderr is not None
        assert (process.stderr.read(), process.wait(60)) == ("", 141)


def test_a_shell_can_complete_the_commands() -> None:
    """Commands are listed for completion as well."""
    words = {"_CONSENTKIT_COMPLETE": "bash_complete", "COMP_WORDS": "consentkit policy ", "COMP_CWORD": "2"}
    assert script(env={**os.environ, **words}).stdout.split() == ["plain,check", "plain,diff", "plain,schema"]


def test_an_interrupted_run_is_no_verdict(shared_desk: Desk) -> None:
    """Ctrl-C during an audit must not look like tampering found."""
    code = (
        "import sys, signal, os; import consentkit.audit as a;"
        "signal.signal(signal.SIGINT, signal.default_int_handler);"  # whoever runs the tests may ignore it
        "a.audit = lambda *x, **y: os.kill(os.getpid(), signal.SIGINT);"
        "from consentkit.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "audit", str(shared_desk.pack), "--trust", str(shared_desk.trust)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stderr.strip()) == (130, "Interrupted.")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain Zoë", "plain Zoë"),
        ("a\nb", "a\\nb"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\u202e", "\\u202e"),
        ("\udcff", "\\udcff"),
    ],
)
def test_text_from_a_pack_cannot_steer_a_terminal(text: str, shown: str) -> None:
    """Control characters, line breaks and direction overrides are spelled out."""
    assert printable(text) == shown


def test_a_command_is_shown_as_its_reader_can_run_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name where PATH leads to it, else by where it is; a module by its interpreter."""
    script = tmp_path / "my env/bin/consentkit"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(script)])
    monkeypatch.setenv("PATH", "/usr/bin")
    assert own_command() == f"'{script}'"
    monkeypatch.chdir(tmp_path)
    assert own_command() == "'my env/bin/consentkit'"
    monkeypatch.setenv("PATH", str(script.parent))
    assert own_command() == "consentkit"
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "consentkit/__main__.py")])
    monkeypatch.setattr(sys, "executable", str(tmp_path / "my env/bin/python"))
    assert own_command() == "'my env/bin/python' -m consentkit"
