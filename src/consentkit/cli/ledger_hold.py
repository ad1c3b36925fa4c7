"""``consentkit ledger hold LEDGER ID [HISTORY...] [--index N] --keys DIR``"""

from __future__ import annotations

from pathlib import Path

import click

from consentkit.cli.ledger_options import HISTORY_HELP, KEYS, SUBJECT_KEYS, counted, opened

__all__ = ["command"]


@click.command(
    "hold",
    help=(
        "Keep records from being erased or expiring until the hold is released.\n\n"
        f"ID is a name for the hold that everybody may read, such as case-2027-014. {HISTORY_HELP} The hold is on the"
        " records that are there now; a pack tells which they are."
    ),
)
@click.argument("ledger", metavar="LEDGER")
@click.argument("hold_id", metavar="ID")
@click.argument("histories", metavar="[HISTORY]...", nargs=-1)
@click.option(
    "--index", "indexes", metavar="N", type=int, multiple=True, help="An entry's index. May be given again."
)
@KEYS
@SUBJECT_KEYS
def command(
    *,
    ledger: str,
    hold_id: str,
    histories: tuple[str, ...],
    indexes: tuple[int, ...],
    key_folder: Path,
    subject_keys: str | None,
) -> None:
    """Place a hold."""
    with opened(ledger, key_folder, subject_keys) as book:
        held = book.hold(hold_id, histories, indexes=indexes)
    click.echo(f"The hold {hold_id} is on {counted(len(held), 'record')}: {', '.join(map(str, held))}.")
