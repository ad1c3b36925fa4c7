"""Running the checks one after the other, and saying how each came out."""

from __future__ import annotations

import random
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import httpx

from consentkit.cli.demo_check.attacks import ATTACKS
from consentkit.cli.demo_check.changes import AFTERWARDS, CHANGES
from consentkit.cli.demo_check.evidence import EVIDENCE
from consentkit.cli.demo_check.expect import Wrong
from consentkit.cli.demo_check.processes import Server, free_port
from consentkit.cli.demo_check.visits import VISITS
from consentkit.cli.demo_check.world import Check, World
from consentkit.cli.demo_site.folder import DemoFolder
from consentkit.cli.demo_site.serving import Stopped, stop_by_signal
from consentkit.cli.output import Failure, own_command, printable

__all__ = ["run"]

_GOOD = "\u2713", "ok"
_BAD = "\u2717", "FAILED"
_CHECKS: tuple[Check, ...] = (*VISITS, *ATTACKS, *CHANGES, *EVIDENCE, *AFTERWARDS)


def run(data: Path | None, port: int | None, seed: int | None) -> int:
    """Make every check and return the exit code: 0 when all held, 1 otherwise, 130 when it was interrupted."""
    if data is not None and data.exists() and any(data.iterdir()):
        raise Failure(
            f"{data} is not empty", "--check needs a new folder: it changes policies and kills servers", 2
        )
    chosen = secrets.randbelow(2**32) if seed is None else seed
    click.echo(f"Visiting, auditing and tampering with seed {chosen}.\n")
    try:
        with stop_by_signal(), TemporaryDirectory(prefix="consentkit-check-") as made:
            work = Path(made).resolve()
            folder = DemoFolder(work / "data" if data is None else data.resolve())
            return _run(folder, work, port or free_port(), chosen)
    except Stopped:
        click.echo("Stopped before all checks were made.")
        return 130


def _run(folder: DemoFolder, work: Path, port: int, seed: int) -> int:
    server = Server(folder.root, port, work / "server.log")
    began = time.monotonic()
    try:
        server.start()
        with httpx.Client(base_url=server.url, timeout=30, trust_env=False) as client:
            source = random.Random(seed)  # noqa: S311  it chooses what to tamper with, and must do so again
            failed = _make(_CHECKS, World(folder, server, work, source, client))
    except Wrong as wrong:
        _say_wrong("the demo starts", wrong)
        return 1
    finally:
        server.stop()
    seconds = time.monotonic() - began
    if failed:
        again = click.style(f"{len(failed)} of {len(_CHECKS)} checks failed", fg="red", bold=True)
        click.echo(
            f"\n{again} in {seconds:.1f} s. The same again: {own_command()} demo --check --seed {seed}"
        )
        return 1
    click.echo(
        click.style(f"\nAll {len(_CHECKS)} checks held", fg="green", bold=True) + f" in {seconds:.1f} s."
    )
    return 0


def _make(checks: Sequence[Check], world: World) -> list[Check]:
    """Make checks and return those that failed; one that fails does not keep the others from being made."""
    failed = []
    for check in checks:
        title = (check.__doc__ or "").partition("\n")[0]
        try:
            check(world)
        except Wrong as wrong:
            _say_wrong(title, wrong)
        except Exception as error:  # noqa: BLE001  a check that breaks has not held
            _say_wrong(title, Wrong("the check can be made", "no error", f"{type(error).__name__}: {error}"))
        else:
            _say(_GOOD, "green", title)
            continue
        failed.append(check)
    return failed


def _say_wrong(title: str, wrong: Wrong) -> None:
    _say(_BAD, "red", title)
    click.echo(f"    {printable(wrong.what)}")
    click.echo(f"    expected: {_shown(wrong.expected)}")
    click.echo(f"    got:      {_shown(wrong.got)}")


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else repr(_sorted(value))
    return "\n              ".join(printable(line) for line in text.splitlines()[-30:])


def _sorted(value: object) -> object:
    """Return a value with its sets in order, so that two can be compared by eye."""
    if isinstance(value, tuple):
        return tuple(map(_sorted, value))
    return sorted(value) if isinstance(value, (set, frozenset)) else value


def _say(signs: tuple[str, str], colour: str, title: str) -> None:
    """Print a line with a sign, or with a plain word where the terminal cannot show it."""
    sign, plain = signs
    try:
        sign.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        sign = plain
    click.echo(f"{click.style(sign, fg=colour)} {title}")
