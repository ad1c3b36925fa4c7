"""``consentkit ledger recover LEDGER --new-log NAME --keys DIR --new-keys DIR``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from consentkit.cli.ledger_options import SUBJECT_KEYS
from consentkit.cli.output import INPUT_FILE, caller_input

if TYPE_CHECKING:
    from consentkit.keys import Keys

__all__ = ["command"]

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("recover")
@click.argument("ledger", metavar="LEDGER")
@click.option(
    "--new-log", metavar="NAME", required=True, help="Name of the new log. It differs from the old one."
)
@click.option(
    "--keys", "old_folder", metavar="DIR", type=_FOLDER, required=True, help="The keys of the old log."
)
@click.option(
    "--new-keys",
    "new_folder",
    metavar="DIR",
    type=_FOLDER,
    required=True,
    help="Where the keys of the new log go: a new log key, and the record key and cookie secrets of before.",
)
@click.option("--high-water", metavar="URL", help="Where the high-water mark of the ledger is.")
@click.option(
    "--previous",
    metavar="CHECKPOINT",
    type=INPUT_FILE,
    multiple=True,
    help="A checkpoint of the old log that was kept. May be given again.",
)
@SUBJECT_KEYS
def command(  # noqa: PLR0917  click passes them by name
    ledger: str,
    new_log: str,
    old_folder: Path,
    new_folder: Path,
    high_water: str | None,
    previous: tuple[Path, ...],
    subject_keys: str | None,
) -> None:
    """Carry on after a loss, in a new log that names the old one.

    For a ledger that was restored from an old backup, or is lost: what the old log signed cannot be taken back, so
    nothing can be added to it. Stop the site first. What is left of the old ledger is set aside; the new one begins
    with an entry that says how far the old one had come. Then start the site with the new keys.
    """
    from consentkit.evidence.recover import recover
    from consentkit.keys import Keys
    from consentkit.tlog import NoteSigner, open_checkpoint

    old = Keys.load(old_folder)
    old_key = NoteSigner(old.log_name, old.log).verifier
    kept = [path.read_bytes() for path in previous]
    for path, note in zip(previous, kept, strict=True):
        with caller_input(f"--previous {path}"):
            open_checkpoint(note, old_key)
    keys = _new_keys(new_folder, new_log, old)
    found = recover(
        ledger,
        old_key=old_key,
        keys=keys,
        high_water=high_water,
        checkpoints=kept,
        subject_keys=subject_keys,
    )
    before = found.predecessor
    click.echo(
        f"{ledger} holds the log {new_log} now. It carries on after {before.log_name}, {before.size} entries."
    )
    if found.lost:
        click.echo(
            f"The last {found.lost} entries of the old log are lost; the new one says so by their number."
        )
    if found.old_url:
        click.echo(
            f"What is left of the old ledger: {found.old_url}. Keep it: auditors will ask for its pack."
        )
    click.echo(f"Start the site with the keys in {new_folder}; auditors get {new_folder / 'trust.txt'}.")


def _new_keys(folder: Path, new_log: str, old: Keys) -> Keys:
    """Write the new log's keys, or read them where an earlier attempt has written them."""
    from consentkit.keys import Keys, write_keys

    if folder.is_dir() and any(folder.iterdir()):
        keys = Keys.load(folder)
        if keys.log_name == new_log != old.log_name:
            return keys
    return write_keys(folder, new_log, after=old)
