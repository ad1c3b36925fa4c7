"""``consentkit ledger export LEDGER DEST``"""

from __future__ import annotations

from pathlib import Path

import click

from consentkit.cli.output import progress_bar

__all__ = ["command"]


@click.command("export")
@click.argument("ledger", metavar="LEDGER")
@click.argument("destination", metavar="DEST", type=click.Path(path_type=Path, file_okay=False))
def command(ledger: str, destination: Path) -> None:
    """Write the pack that an auditor needs.

    LEDGER is a URL such as sqlite:///path/consent.db. DEST gets tiles, checkpoints, openings, policies and
    notices. No key is read or written: the auditor brings the trust file.
    """
    from consentkit.evidence.export import export

    with progress_bar() as progress:
        export(ledger, destination, progress=progress)
    click.echo(f"The pack is in {destination}. Check it with: consentkit audit {destination} --trust FILE")
