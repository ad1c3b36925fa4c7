"""Records as a table, for analysis: one row for each record that can be opened, in a Parquet file.

The rows say what the store says. Whether that is what was signed is an audit's to find out, not this export's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from consentkit.errors import LedgerUnavailable
from consentkit.evidence._encoding import parse_time
from consentkit.evidence._files import sync_folder
from consentkit.evidence.opening import Opening
from consentkit.evidence.record import disclosed, parse_record
from consentkit.evidence.sealed import reading
from consentkit.evidence.store import View

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["export_table"]

_GROUP: Final = 10_000
"""Rows in a row group: what is held in memory at once."""
_STEP: Final = 4096
_TOLD: Final = ("event", "method", "site", "region", "regime", "model", "asked", "sequence", "id")


def export_table(
    url: str,
    dest: Path,
    *,
    subjects: bool = False,
    subject_keys: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> int:
    """Write the records of the ledger at `url` to the Parquet file `dest`; returns how many there are.

    Columns are typed: times are UTC milliseconds, `choices` is a list of name, kind (`category` or `service`),
    granted and basis. With `subjects` there is a column `history`, the pseudonyms, which are personal data.
    `subject_keys` is as for `consentkit.evidence.export.export`. Needs pyarrow, in the extra `analytics`. Holds ten
    thousand rows in memory. Raises LedgerUnavailable when the ledger cannot be read, or the file not be written, which
    is then not there.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415  an extra, for those who need it
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise LedgerUnavailable(
            f"pyarrow cannot be loaded: {error}", remedy="pip install 'consentkit[analytics]'"
        ) from error
    schema, written, draft = _schema(pa, subjects), 0, dest.with_name(f".{dest.name}.new")
    try:
        with (
            reading(url, subject_keys) as view,
            parquet.ParquetWriter(draft, schema, compression="zstd") as writer,
        ):
            rows = _rows(view, subjects, progress or (lambda *_: None))
            while group := list(islice(rows, _GROUP)):
                writer.write_table(pa.Table.from_pylist(group, schema=schema))
                written += len(group)
        _settle(draft, dest)
    except OSError as error:
        raise LedgerUnavailable(
            f"{dest} cannot be written: {error}", remedy="check the folder and the disk"
        ) from error
    finally:
        draft.unlink(missing_ok=True)
    return written


def _settle(draft: Path, dest: Path) -> None:
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.replace(dest)
    sync_folder(dest.parent)


def _schema(arrow: Any, subjects: bool) -> pa.Schema:
    text, flag, moment = arrow.string(), arrow.bool_(), arrow.timestamp("ms", tz="UTC")
    names = arrow.dictionary(arrow.int32(), text)  # few values, many rows
    choice = arrow.struct([("name", text), ("kind", text), ("granted", flag), ("basis", text)])
    columns = {
        "index": arrow.int64(), "time": moment, "event": names, "method": names, "site": names, "region": names,
        "regime": names, "model": names, "language": names, "notice": names, "template": names, "layout": names,
        "policy": names, "policy_version": names, "gpc": flag, "gpc_shown": flag, "asked": arrow.list_(text),
        "choices": arrow.list_(choice), "expires": moment, "sequence": arrow.int64(), "id": text,
    }  # fmt: skip
    return arrow.schema(columns | ({"history": text} if subjects else {}))


def _rows(view: View, subjects: bool, progress: Callable[[str, int, int], None]) -> Iterator[dict[str, Any]]:
    head = view.head()
    size = head.size if head else 0
    for start in range(0, size, _STEP):
        stop = min(start + _STEP, size)
        for opening in view.openings(start, stop):
            yield _row(opening, subjects)
        progress("records", stop, size)


def _row(opening: Opening, subjects: bool) -> dict[str, Any]:
    claims = parse_record(opening.record).claims
    notice: Mapping[str, str] = claims["notice"] or {}
    row = {
        name: claims[name]
        for name in ("event", "method", "site", "region", "regime", "model", "asked", "sequence", "id")
    }
    row |= {name: notice.get(name) for name in ("language", "template", "layout")}
    row |= {
        "index": opening.index,
        "time": parse_time(claims["time"]),
        "notice": notice.get("digest"),
        "policy": claims["policy"]["digest"],
        "policy_version": claims["policy"]["version"],
        "gpc": claims["signals"]["gpc"],
        "gpc_shown": claims["signals"]["shown"],
        "choices": [*_choices(claims["choices"], "category"), *_choices(claims["services"], "service")],
        "expires": parse_time(claims["expires"]) if claims["expires"] else None,
    }
    if subjects:
        row["history"] = disclosed(claims, opening.disclosures).get("history")
    return row


def _choices(told: Mapping[str, Mapping[str, Any]], kind: str) -> Iterator[dict[str, Any]]:
    for name, choice in told.items():
        yield {"name": name, "kind": kind, "granted": choice["granted"], "basis": choice["basis"]}
