"""What commands share in talking to people: errors with their remedy, progress, and safe text."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from consentkit.errors import ConsentkitError

if TYPE_CHECKING:
    from consentkit.tlog import TrustPolicy

__all__ = [
    "INPUT_FILE",
    "Failure",
    "Progress",
    "caller_input",
    "own_command",
    "printable",
    "progress_bar",
    "read_trust",
]

INPUT_FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)
"""A file that the caller brings; one that is not there is wrong usage."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is in all."""


def printable(text: object) -> str:
    """Return `text` on one line and without control characters: what a pack says cannot steer a terminal."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in str(text))


def own_command() -> str:
    """Return how the reader runs this program again from where they are: `consentkit`, or where it is."""
    script = os.path.abspath(sys.argv[0])
    if Path(script).stem == "consentkit":
        return _runnable(script)
    return f"{_runnable(sys.executable)} -m consentkit"


def _runnable(program: str) -> str:
    """Return a program as a shell finds it: by its name where PATH leads to it, else by its path from here."""
    path = Path(program)
    if (found := shutil.which(path.name)) is not None and os.path.abspath(found) == program:
        return path.name
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


class Failure(click.ClickException):
    """An error as the command line shows it: what is wrong, then what to do about it."""

    def __init__(self, message: str, remedy: str = "", exit_code: int = 1) -> None:
        super().__init__(message)
        self.remedy = remedy
        self.exit_code = exit_code  # type: ignore[misc]

    @classmethod
    def of(cls, error: ConsentkitError, exit_code: int = 1) -> Failure:
        """Wrap one of consentkit's own errors."""
        return cls(error.message, error.remedy, exit_code)

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the error on standard error."""
        where: IO[Any] = file or sys.stderr
        lines = [printable(line) for line in self.message.splitlines()]
        click.echo(click.style("Error: ", fg="red", bold=True) + "\n".join(lines), where)
        if self.remedy:
            click.echo(f"  {printable(self.remedy)}", where)


@contextmanager
def caller_input(what: str) -> Iterator[None]:
    """Turn an error about something that the caller brought into wrong usage: exit code 2."""
    try:
        yield
    except ConsentkitError as error:
        raise Failure(f"{what}: {error.message}", error.remedy, 2) from error
    except OSError as error:
        raise Failure(f"{what}: {error.strerror or error}", exit_code=2) from error


@contextmanager
def progress_bar() -> Iterator[Progress | None]:
    """Give a function that shows progress on a terminal, and None where standard error is none."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield show


def read_trust(file: Path) -> TrustPolicy:
    """Read the trust file that a caller brought; one that cannot be used is wrong usage."""
    from consentkit.tlog import TrustPolicy

    with caller_input(f"--trust {file}"):
        return TrustPolicy.parse(file.read_bytes())
