"""``consentkit demo`` as a process: where it listens, what it says, and how it ends."""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from consentkit.cli import demo
from consentkit.cli.root import app
from tests.support import ROOT, Server, free_port


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody else listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[Server]]:
    """Servers that a test starts; what still runs is stopped."""
    running: list[Server] = []
    yield running
    for server in running:
        server.stop()


def start(started: list[Server], tmp_path: Path, *options: str, **env: str) -> Server:
    port = free_port()
    command = [sys.executable, "-m", "consentkit", "demo", "--port", str(port), *options]
    started.append(Server(command, port, tmp_path / f"{port}.log", env))
    return started[-1].wait_ready()


def told_folder(server: Server) -> Path:
    deadline = time.monotonic() + 20
    while "Ctrl-C" not in server.output and time.monotonic() < deadline:
        time.sleep(0.05)
    line = next(line for line in server.output.splitlines() if line.startswith("Policy, keys and ledger"))
    return Path(line.split()[6].rstrip(","))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_demo_without_a_folder_leaves_nothing_behind(
    started: list[Server], tmp_path: Path, number: signal.Signals
) -> None:
    """However it is told to end: the temporary folder goes, and the exit code is 0."""
    server = start(started, tmp_path, TMPDIR=str(tmp_path))
    folder = told_folder(server)
    assert sorted(path.name for path in folder.iterdir() if "consent.db" not in path.name) == [
        "keys",
        "policy.json",
    ]
    server.process.send_signal(number)
    assert server.process.wait(20) == 0
    assert server.output.endswith("Stopped.\n")
    assert not folder.exists()


def test_it_says_where_it_is_and_what_to_try(started: list[Server], tmp_path: Path) -> None:
    """The URL works, and the auditor's two commands are printed as they can be run."""
    server = start(started, tmp_path, "--data", str(tmp_path / "data"))
    assert told_folder(server) == tmp_path / "data"
    assert f"http://127.0.0.1:{server.port}/" in server.output
    assert "under the hood" in httpx.get(server.url, trust_env=False).text.lower()
    _, _, last = server.output.partition("An auditor's way:")
    lines = [shlex.split(line) for line in last.splitlines() if line.startswith("     ")]
    assert [" ".join(line[1:4]) for line in lines] == ["-m consentkit ledger", "-m consentkit audit"]
    for program, *arguments in lines:
        subprocess.run([ROOT / program, *arguments], cwd=tmp_path, check=True, capture_output=True)


def test_a_folder_is_taken_up_again(started: list[Server], tmp_path: Path) -> None:
    """The ledger goes on from where it was."""
    sizes = []
    for _ in range(2):
        server = start(started, tmp_path, "--data", str(tmp_path / "data"))
        sizes.append(
            httpx.get(f"{server.url}/demo/panel", trust_env=False).text.partition(" entries")[0][-2:]
        )
        assert server.stop() == 0
    assert sizes[0] == sizes[1]


def test_a_named_port_that_is_taken_is_an_error(taken: int) -> None:
    """Who names a port means that one."""
    result = CliRunner().invoke(app, ["demo", "--port", str(taken)])
    assert result.exit_code == 2
    assert f"port {taken} cannot be listened on" in result.output
    assert f" demo --port {taken + 1}\n" in result.output


@pytest.mark.skipif(
    shutil.which("make") is None or not (ROOT / ".venv/bin/consentkit").exists(),
    reason="there is no make, or no .venv that it made",
)
def test_make_demo_says_how_make_is_told_another_port(taken: int) -> None:
    """In the words of the command that was typed."""
    make = ["make", "--assume-old", ".venv/.has-demo", "demo", f"PORT={taken}"]
    result = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode != 0
    assert f"name another one: make demo PORT={taken + 1}\n" in result.stderr


def test_after_the_last_port_comes_the_usual_one() -> None:
    """There is no port 65536."""
    assert (demo._next(8000), demo._next(65535)) == (8001, 8000)


def test_the_usual_port_gives_way_to_a_free_one(taken: int, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """Who names none gets one, and is told."""
    monkeypatch.setattr(demo, "_PORT", taken)
    with demo._listener(None) as listener:
        assert listener.getsockname()[1] not in (0, taken)
    assert f"Port {taken} is taken" in capsys.readouterr().out


def test_connections_are_without_nagles_delay() -> None:
    """Otherwise every second answer on a connection waits for 40 ms."""
    with demo._listener(free_port()) as listener:
        assert listener.proto == socket.IPPROTO_TCP


@pytest.mark.parametrize("missing", ["uvicorn", "httpx"])
def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """Without the extra `demo` a sentence says how to get it."""
    real = demo.find_spec
    monkeypatch.setattr(demo, "find_spec", lambda name: None if name == missing else real(name))
    result = CliRunner().invoke(app, ["demo"])
    assert result.exit_code == 2
    assert f"'{missing}'" in result.output
    assert 'pip install "consentkit[demo]"' in result.output


def test_a_seed_is_for_the_check() -> None:
    """Alone it has no meaning, and that is said."""
    result = CliRunner().invoke(app, ["demo", "--seed", "1"])
    assert result.exit_code == 2
    assert "--check" in result.output


def test_a_check_does_not_touch_a_folder_in_use(tmp_path: Path) -> None:
    """It would change the policy in it."""
    (tmp_path / "policy.json").write_text("{}")
    result = CliRunner().invoke(app, ["demo", "--check", "--data", str(tmp_path)])
    assert result.exit_code == 2
    assert "is not empty" in result.output
    assert os.listdir(tmp_path) == ["policy.json"]
