"""``consentkit keys new DIR --log-name NAME``"""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["command"]


@click.command("new")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--log-name", required=True, help="Name of the log, such as example.com/consent. It stays.")
def command(folder: Path, log_name: str) -> None:
    """Write a site's keys, and the trust file for its auditors.

    DIR gets the key that signs the log, the key that signs records, the secret of the cookies, and trust.txt.
    Nothing that is there already is overwritten.
    """
    from consentkit.keys import write_keys

    write_keys(folder, log_name)
    click.echo(f"Keys of the log {log_name} are in {folder}. Keep them secret, and keep a copy.")
    click.echo(f"Auditors need {folder / 'trust.txt'}: publish it, or hand it over by a way that they trust.")
