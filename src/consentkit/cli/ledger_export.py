"""``consentkit ledger export LEDGER DEST``"""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from consentkit.cli.ledger_options import SUBJECT_KEYS, counted
from consentkit.cli.output import INPUT_FILE, Failure, caller_input, own_command, printable, progress_bar

if TYPE_CHECKING:
    from consentkit.evidence.bucket import Bucket
    from consentkit.evidence.witness import Witness

__all__ = ["command"]

_ROUNDS = 5


@click.command("export")
@click.argument("ledger", metavar="LEDGER")
@click.argument("destination", metavar="DEST")
@click.option(
    "--public",
    is_flag=True,
    help="Write the log alone, for everybody to read, and nothing that opens an entry.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["pack", "parquet"]),
    default="pack",
    show_default=True,
    help="parquet: the records as a table for analysis, in the file DEST.",
)
@click.option(
    "--subjects", is_flag=True, help="With parquet: a column of pseudonyms, which are personal data."
)
@click.option(
    "--witnesses",
    "witness_file",
    metavar="FILE",
    type=INPUT_FILE,
    help="Have the newest head cosigned first, by the witnesses of a trust file that gives their URLs.",
)
@SUBJECT_KEYS
def command(
    *,
    ledger: str,
    destination: str,
    public: bool,
    form: str,
    subjects: bool,
    witness_file: Path | None,
    subject_keys: str | None,
) -> None:
    """Write the pack that an auditor needs.

    LEDGER is a URL such as sqlite:///path/consent.db. DEST is a folder, or a URL such as s3://bucket/prefix: it gets
    tiles, checkpoints, openings, policies and notices. With --public it gets the log alone, as c2sp.org/tlog-tiles
    has it. No key is read or written: the auditor brings the trust file.
    """
    if form == "parquet":
        _table(ledger, Path(destination), subjects, subject_keys)
        return
    from consentkit.evidence.export import export
    from consentkit.evidence.publication import publish

    witnesses = () if witness_file is None else _read_witnesses(witness_file)
    bucket = _bucket(destination)
    head = "checkpoint" if public else "log/checkpoint"
    missing: dict[str, str] = {}
    with progress_bar() as progress:
        # A site that goes on moves the head on, too; what was exported already costs the next round nothing.
        for _ in range(_ROUNDS):
            missing = _cosign(ledger, witnesses)
            if public:
                publish(ledger, bucket)
            else:
                export(ledger, bucket, progress=progress, subject_keys=subject_keys)
            if missing or _carries(bucket, head, witnesses):
                break
    for name, problem in missing.items():
        click.echo(f"Not cosigned by {printable(name)}: {printable(problem)}", err=True)
    if public:
        click.echo(f"The log is at {bucket.place}, for everybody to read.")
    elif "://" in destination:
        click.echo(f"The pack is at {bucket.place}. An auditor fetches all of it into a folder.")
    else:
        click.echo(
            f"The pack is in {destination}. Check it with: {own_command()} audit {quote(destination)} --trust FILE"
        )


def _table(ledger: str, file: Path, subjects: bool, subject_keys: str | None) -> None:
    from consentkit.evidence.table import export_table

    with progress_bar() as progress:
        count = export_table(ledger, file, subjects=subjects, subject_keys=subject_keys, progress=progress)
    click.echo(
        f"{counted(count, 'record')} in {file}, as the store has them. To have them verified, audit a pack."
    )


def _bucket(destination: str) -> Bucket:
    from consentkit.evidence.bucket import Folder, open_bucket

    if "://" in destination:
        with caller_input("DEST"):
            return open_bucket(destination)
    if Path(destination).is_file():
        raise Failure(f"DEST: {destination} is a file, and a folder is needed", exit_code=2)
    return Folder(Path(destination))


def _read_witnesses(file: Path) -> tuple[Witness, ...]:
    from consentkit.evidence.witness import Witness
    from consentkit.tlog import TrustPolicy

    with caller_input(f"--witnesses {file}"):
        if witnesses := Witness.of_trust(TrustPolicy.parse(file.read_bytes())):
            return witnesses
    raise Failure(f"--witnesses {file}: it gives the URL of no witness", exit_code=2)


def _cosign(ledger: str, witnesses: tuple[Witness, ...]) -> dict[str, str]:
    if not witnesses:
        return {}
    from consentkit.evidence.witness import cosign

    return cosign(ledger, witnesses)


def _carries(bucket: Bucket, head: str, witnesses: tuple[Witness, ...]) -> bool:
    """Say whether the exported head has a line of every witness."""
    from consentkit.tlog import parse_note

    found = bucket.read(head)
    lines = parse_note(found.data)[1] if found else ()
    signed = {(line.name, line.key_id) for line in lines}
    return signed.issuperset((one.key.name, one.key.key_id) for one in witnesses)
