"""``consentkit ledger retain LEDGER (--before DATE | --policy FILE) --keys DIR``"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from consentkit.cli.ledger_options import KEYS, SUBJECT_KEYS, opened
from consentkit.cli.output import INPUT_FILE, caller_input

__all__ = ["command"]


@click.command("retain")
@click.argument("ledger", metavar="LEDGER")
@click.option(
    "--before",
    metavar="DATE",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Remove what was recorded before this UTC day.",
)
@click.option(
    "--policy", "policy_file", metavar="FILE", type=INPUT_FILE, help="Keep as long as this policy says."
)
@KEYS
@SUBJECT_KEYS
def command(
    ledger: str, before: datetime | None, policy_file: Path | None, key_folder: Path, subject_keys: str | None
) -> None:
    """Remove records whose time is over, but for those on hold, and say so in the log."""
    if (before is None) == (policy_file is None):
        raise click.UsageError("Give either --before or --policy.")
    limit = _limit(policy_file) if before is None else before.replace(tzinfo=UTC)
    with opened(ledger, key_folder, subject_keys) as book:
        size = book.retain(round(limit.timestamp() * 1000))
    if size is None:
        click.echo(f"Nothing that is not on hold was recorded before {limit:%Y-%m-%d %H:%M} UTC.")
    else:
        click.echo(f"Records below entry {size} have expired; what is on hold stays.")


def _limit(policy_file: Path | None) -> datetime:
    from consentkit.policy import Policy

    with caller_input(f"--policy {policy_file}"):
        retention: timedelta = Policy.load(str(policy_file)).retention
    return datetime.now(UTC) - retention
