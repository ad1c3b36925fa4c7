"""The root of the command line: which commands there are, and how a run ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import IO, Any

import click

from consentkit import __version__
from consentkit.cli.output import Failure
from consentkit.errors import ConsentkitError

__all__ = ["app", "run"]

# Help of every command, so that `--help` need not import any. A name of two words belongs to a group.
_COMMANDS = {
    "audit": "Check a ledger's pack against a trust file, and give a verdict.",
    "demo": "Serve a small newspaper with the banner, and a panel that shows what happens behind it.",
    "keys new": "Write a site's keys, and the trust file for its auditors.",
    "ledger erase": "Erase all records of a history, or of several, and say so in the log.",
    "ledger export": "Write the pack that an auditor needs.",
    "ledger history": "Tell in words what one history says, and what follows from it.",
    "ledger hold": "Keep records from being erased or expiring until the hold is released.",
    "ledger recover": "Carry on after a loss, in a new log that names the old one.",
    "ledger release": "Release a hold, and say so in the log.",
    "ledger retain": "Remove records whose time is over, but for those on hold, and say so in the log.",
    "policy check": "Say everything that is wrong with a policy.",
    "policy diff": "Tell which visitors a new policy asks again, and why.",
    "policy schema": "Print the JSON Schema of policies, for editors and other programs.",
    "receipt verify": "Check a visitor's receipt, offline.",
}
_GROUPS = {
    "keys": "The keys of a site.",
    "ledger": "The log of consent records.",
    "policy": "The policy document of a site.",
    "receipt": "What a visitor keeps as proof.",
}


class _Commands(click.Group):
    """A group that imports a command when it runs and lists the others without importing them."""

    def __init__(self, prefix: str = "", **options: Any) -> None:
        super().__init__(no_args_is_help=True, **options)
        self._prefix = f"{prefix} " if prefix else ""
        own = {
            name.removeprefix(self._prefix).split()[0] for name in _COMMANDS if name.startswith(self._prefix)
        }
        self._names = sorted(own)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return self._names

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in self._names:
            return None
        full = self._prefix + cmd_name
        if full not in _COMMANDS:
            return _Commands(full, name=cmd_name, help=_GROUPS[full])
        command = import_module(f"consentkit.cli.{full.replace(' ', '_')}").command
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        full_names = ((name, self._prefix + name) for name in self._names)
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS.get(full) or _GROUPS[full]) for name, full in full_names])


class _ReaderGone(click.ClickException):
    """The reader of standard output went away, as `head` does; whatever the verdict, nobody heard it."""

    exit_code = 141

    def __init__(self) -> None:
        super().__init__("")

    def show(self, file: IO[Any] | None = None) -> None:  # noqa: ARG002
        # Nothing to say, and Python must not complain either when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Root(_Commands):
    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ConsentkitError as error:
            raise Failure.of(error) from error
        except BrokenPipeError as error:
            raise _ReaderGone from error
        except OSError as error:
            raise Failure(f"{error.filename or 'the system'}: {error.strerror or error}") from error


app: click.Group = _Root(
    name="consentkit",
    help="Ask for consent, obey the answer, and prove both.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
click.version_option(__version__, prog_name="consentkit")(app)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; an interrupted run is 130 and never looks like a verdict."""
    try:
        code = app.main(arguments, prog_name="consentkit", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        click.echo("Interrupted.", err=True)
        return 130
    return code if isinstance(code, int) else 0
