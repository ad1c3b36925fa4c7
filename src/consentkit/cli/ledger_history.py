"""``consentkit ledger history LEDGER HISTORY``"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from consentkit.cli.ledger_options import HISTORY_HELP, SUBJECT_KEYS
from consentkit.cli.output import Failure, printable

if TYPE_CHECKING:
    from consentkit.evidence import Appended
    from consentkit.evidence.current import Current, Standing

__all__ = ["command"]


@click.command(
    "history", help=f"Tell in words what one history says, and what follows from it.\n\n{HISTORY_HELP}"
)
@click.argument("ledger", metavar="LEDGER")
@click.argument("history", metavar="HISTORY")
@SUBJECT_KEYS
def command(ledger: str, history: str, subject_keys: str | None) -> None:
    """Print a history's records, oldest first, and the latest choices."""
    from consentkit.evidence.current import read_history

    records, current = read_history(ledger, history, subject_keys=subject_keys)
    if not records:
        raise Failure(
            f"the ledger has no record of the history {history}",
            "check the pseudonym; the history may have been erased, or have expired",
        )
    for record in records:
        _show(record)
    _sum_up(current)


def _show(record: Appended) -> None:
    claims = record.record.claims
    notice = claims["notice"]
    shown = f"notice {notice['digest'][:16]} in {notice['language']}" if notice else "no notice"
    choices = {**claims["choices"], **claims["services"]}
    click.secho(
        f"Entry {record.index}, {claims['time']}: {claims['event']}, by {claims['method']}", bold=True
    )
    rows = {
        "allowed": _names(name for name, choice in choices.items() if choice["granted"]),
        "refused": _names(name for name, choice in choices.items() if not choice["granted"]),
        "shown": f"{shown}; policy {claims['policy']['version']}; {claims['region'] or 'region unknown'}",
        "site": claims["site"],
        **claims.get("extra", {}),
    }
    for name, text in rows.items():
        click.echo(f"  {name:10}  {printable(text)}")


def _sum_up(current: Current) -> None:
    click.secho("Now", bold=True)
    for name, standing in {**current.choices, **current.services}.items():
        ends = f", until {_day(standing.expires)}" if standing.granted and standing.expires else ""
        verb = "allowed" if standing.granted else "refused"
        click.echo(f"  {printable(name):20}  {verb} since {_day(standing.time)} ({_place(standing)}){ends}")


def _place(standing: Standing) -> str:
    return "waits in the spool" if standing.index is None else f"entry {standing.index}"


def _names(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"


def _day(time: int) -> str:
    return datetime.fromtimestamp(time / 1000, UTC).date().isoformat()
