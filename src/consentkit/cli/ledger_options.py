"""What the commands that write to a ledger share: how it is opened, and what they say of the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from consentkit.evidence import Ledger

__all__ = ["HISTORY_HELP", "KEYS", "SUBJECT_KEYS", "counted", "opened"]

KEYS = click.option(
    "--keys",
    "key_folder",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="The keys of the log, as `consentkit keys new` wrote them.",
)

SUBJECT_KEYS = click.option(
    "--subject-keys",
    metavar="URL",
    help="Where the keys are under which openings are sealed, such as sqlite:////srv/keys/subjects.db.",
)

HISTORY_HELP: Final = (
    "HISTORY is the pseudonym, 22 characters, of a visitor's or an account's history. Put -- before one that begins"
    " with a hyphen."
)


def counted(count: int, what: str) -> str:
    """Return a number of things, in words that fit it."""
    return f"{count} {what}{'' if count == 1 else 's'}"


@contextmanager
def opened(url: str, key_folder: Path, subject_keys: str | None) -> Iterator[Ledger]:
    """Open a ledger that is there; warn when the store could not overwrite at once what was removed."""
    from consentkit.evidence import Ledger
    from consentkit.keys import Keys

    events: list[str] = []

    def note(event: str, /, **_: object) -> None:
        events.append(event)

    with Ledger.open(
        url, keys=Keys.load(key_folder), create=False, on_event=note, subject_keys=subject_keys
    ) as ledger:
        yield ledger
    if "ledger.unscrubbed" in events:
        click.echo(
            "What was removed is not overwritten in the files yet: something reads the ledger. The site does it with"
            " its next decisions; or run the command again.",
            err=True,
        )
