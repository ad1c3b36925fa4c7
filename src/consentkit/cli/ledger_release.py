"""``consentkit ledger release LEDGER ID --keys DIR``"""

from __future__ import annotations

from pathlib import Path

import click

from consentkit.cli.ledger_options import KEYS, SUBJECT_KEYS, opened

__all__ = ["command"]


@click.command("release")
@click.argument("ledger", metavar="LEDGER")
@click.argument("hold_id", metavar="ID")
@KEYS
@SUBJECT_KEYS
def command(ledger: str, hold_id: str, key_folder: Path, subject_keys: str | None) -> None:
    """Release a hold, and say so in the log.

    Its records may then be erased; those whose time is over go with the next `consentkit ledger retain`.
    """
    with opened(ledger, key_folder, subject_keys) as book:
        book.release(hold_id)
    click.echo(f"The hold {hold_id} is released.")
