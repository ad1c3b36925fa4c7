"""Whatever single change chance makes to a pack is noticed."""

import shutil
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consentkit.audit import audit
from tests.audit.packs import PackWriter

# What an audit does not need, and says so in every report: deleting it is no tampering with evidence.
MAY_BE_MISSING = ("README.md", "holds.jsonl", "checkpoints/")
MAY_BE_CHANGED = ("README.md",)


@pytest.fixture(scope="module")
def scratch(good_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(good_pack, tmp_path_factory.mktemp("scratch") / "pack"))


def files_of(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def changed(data: bytes, how: str, random: Random) -> bytes | None:
    """Return other bytes than `data`, or None for no file at all."""
    if how == "delete" or (how != "insert" and not data):
        return None
    place = random.randrange(len(data) + (how == "insert"))
    match how:
        case "flip":
            return data[:place] + bytes([data[place] ^ random.randrange(1, 256)]) + data[place + 1 :]
        case "cut":
            return data[:place]
        case "drop":
            return data[:place] + data[place + 1 :]
        case _:
            return data[:place] + bytes([random.randrange(256)]) + data[place:]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pick=st.integers(0, 10**6),
    how=st.sampled_from(["flip", "flip", "cut", "drop", "insert", "delete"]),
    random=st.randoms(use_true_random=False),
)
def test_any_single_change_is_detected(
    pick: int, how: str, random: Random, writer: PackWriter, scratch: Path
) -> None:
    """One byte flipped, cut off, left out or put in, or a file deleted, anywhere."""
    files = files_of(scratch)
    path = files[pick % len(files)]
    data = (scratch / path).read_bytes()
    new = changed(data, how, random)
    excused = path.startswith(MAY_BE_MISSING if new is None else MAY_BE_CHANGED)
    try:
        (scratch / path).unlink()
        if new is not None:
            (scratch / path).write_bytes(new)
        report = audit(scratch, writer.trust)
    finally:
        (scratch / path).write_bytes(data)
    if path == "holds.jsonl" and new:
        assert report.exit_code == 3
    else:
        assert report.exit_code == (0 if excused else 1)
    assert excused or any(finding.file == path for finding in report)


def test_the_scratch_pack_is_good_to_begin_with(writer: PackWriter, scratch: Path) -> None:
    """Every detection above is due to the change."""
    assert audit(scratch, writer.trust).passed
