"""``consentkit receipt verify FILE --trust FILE``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from consentkit.cli.output import INPUT_FILE, Failure, printable, read_trust
from consentkit.errors import InvalidReceipt

if TYPE_CHECKING:
    from consentkit.evidence import VerifiedReceipt

__all__ = ["command"]


@click.command("verify")
@click.argument("file", metavar="FILE", type=INPUT_FILE)
@click.option(
    "--trust",
    "trust_file",
    metavar="FILE",
    type=INPUT_FILE,
    required=True,
    help="Whom to believe: log and witnesses (C2SP tlog-policy).",
)
def command(file: Path, trust_file: Path) -> None:
    """Check a visitor's receipt, offline.

    Exit code 0: the log that the trust file names holds this record; 1: the receipt does not prove that.
    """
    from consentkit.evidence import verify_receipt

    trust = read_trust(trust_file)
    try:
        verified = verify_receipt(file.read_bytes(), trust)
    except InvalidReceipt as error:
        raise Failure(f"{file}: {error.message}", error.remedy) from error
    _show(verified)


def _show(verified: VerifiedReceipt) -> None:
    claims = verified.claims
    choices = {**claims["choices"], **claims["services"]}
    witnesses = ", ".join(verified.cosigned) or "none"
    rows = {
        "log": f"{verified.log_name}, entry {verified.index} of {verified.size}",
        "witnesses": witnesses,
        "site": claims["site"],
        "time": claims["time"],
        "event": f"{claims['event']}, by {claims['method']}",
        "allowed": ", ".join(name for name, choice in choices.items() if choice["granted"]) or "nothing",
        "refused": ", ".join(name for name, choice in choices.items() if not choice["granted"]) or "nothing",
        "policy": f"{claims['policy']['version']} ({claims['policy']['digest']})",
        "notice": claims["notice"]["digest"] if claims["notice"] else "none was shown",
    }
    click.secho("The receipt holds.", fg="green", bold=True)
    for name, text in rows.items():
        click.echo(f"  {name:9}  {printable(text)}")
    click.echo("\nNot checked, and not checkable with a receipt:")
    for remark in verified.not_checked:
        click.echo(f"  - {printable(remark)}")
