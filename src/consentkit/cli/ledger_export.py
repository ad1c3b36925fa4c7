"""``consentkit ledger export LEDGER DEST``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from consentkit.cli.output import INPUT_FILE, Failure, caller_input, printable, progress_bar

if TYPE_CHECKING:
    from consentkit.evidence.witness import Witness

__all__ = ["command"]

_ROUNDS = 5


@click.command("export")
@click.argument("ledger", metavar="LEDGER")
@click.argument("destination", metavar="DEST", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--witnesses",
    "witness_file",
    metavar="FILE",
    type=INPUT_FILE,
    help="Have the newest head cosigned first, by the witnesses of a trust file that gives their URLs.",
)
def command(ledger: str, destination: Path, witness_file: Path | None) -> None:
    """Write the pack that an auditor needs.

    LEDGER is a URL such as sqlite:///path/consent.db. DEST gets tiles, checkpoints, openings, policies and
    notices. No key is read or written: the auditor brings the trust file.
    """
    from consentkit.evidence.export import export

    witnesses = () if witness_file is None else _read_witnesses(witness_file)
    missing: dict[str, str] = {}
    with progress_bar() as progress:
        # A site that goes on moves the head on, too; what was exported already costs the next round nothing.
        for _ in range(_ROUNDS):
            missing = _cosign(ledger, witnesses)
            export(ledger, destination, progress=progress)
            if missing or _carries(destination, witnesses):
                break
    for name, problem in missing.items():
        click.echo(f"Not cosigned by {printable(name)}: {printable(problem)}", err=True)
    click.echo(f"The pack is in {destination}. Check it with: consentkit audit {destination} --trust FILE")


def _read_witnesses(file: Path) -> tuple[Witness, ...]:
    from consentkit.evidence.witness import Witness
    from consentkit.tlog import TrustPolicy

    with caller_input(f"--witnesses {file}"):
        if witnesses := Witness.of_trust(TrustPolicy.parse(file.read_bytes())):
            return witnesses
    raise Failure(f"--witnesses {file}: it gives the URL of no witness", exit_code=2)


def _cosign(ledger: str, witnesses: tuple[Witness, ...]) -> dict[str, str]:
    if not witnesses:
        return {}
    from consentkit.evidence.witness import cosign

    return cosign(ledger, witnesses)


def _carries(destination: Path, witnesses: tuple[Witness, ...]) -> bool:
    """Say whether the exported head has a line of every witness."""
    from consentkit.tlog import parse_note

    lines = parse_note((destination / "log/checkpoint").read_bytes())[1]
    signed = {(line.name, line.key_id) for line in lines}
    return signed.issuperset((one.key.name, one.key.key_id) for one in witnesses)
