"""``consentkit ledger erase LEDGER HISTORY... --reason CODE --keys DIR``"""

from __future__ import annotations

from pathlib import Path

import click

from consentkit.cli.ledger_options import HISTORY_HELP, KEYS, SUBJECT_KEYS, counted, opened

__all__ = ["command"]


@click.command(
    "erase",
    help=(
        "Erase all records of a history, or of several, and say so in the log.\n\n"
        f"{HISTORY_HELP} The tree and every other record stay provable. Backups, packs and receipts that were handed"
        " out are not reached."
    ),
)
@click.argument("ledger", metavar="LEDGER")
@click.argument("histories", metavar="HISTORY...", nargs=-1, required=True)
@click.option(
    "--reason",
    metavar="CODE",
    required=True,
    help="A code such as gdpr-17-1-b. It stands in the log for everybody to read: nothing personal.",
)
@KEYS
@SUBJECT_KEYS
def command(
    ledger: str, histories: tuple[str, ...], reason: str, key_folder: Path, subject_keys: str | None
) -> None:
    """Erase histories."""
    with opened(ledger, key_folder, subject_keys) as book:
        indexes = book.erase(histories, reason)
    if indexes:
        click.echo(f"Erased {counted(len(indexes), 'record')}: {', '.join(map(str, indexes))}.")
    else:
        click.echo("There was nothing to erase.")
