"""The tree is rebuilt in one pass, whatever its size, and blame falls on the right file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from consentkit.audit.findings import Findings
from consentkit.audit.folder import Folder
from consentkit.audit.pack import Pack
from consentkit.audit.tree import Tree, walk_tree
from consentkit.tlog import EMPTY_ROOT, build_tiles, leaf_hash, tree_root

SIZE = 65_536 + 300
ENTRIES = [b"%d\n" % number for number in range(SIZE)]
HASHES = [leaf_hash(entry) for entry in ENTRIES]
SIZES = [0, 1, 255, 256, 257, 65_535, 65_536, 65_537, 65_792, SIZE]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    for path, data in build_tiles(ENTRIES):
        (folder / "log" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "log" / path).write_bytes(data)
    return folder


def walk(
    folder: Path, size: int = SIZE, sizes: list[int] = SIZES
) -> tuple[Tree, list[tuple[str, str | None, int | None]]]:
    pack = Pack(Folder(folder), Findings())
    tree = walk_tree(pack, size, tree_root(HASHES[:size]), sizes, lambda bundle: None)
    return tree, [(one.id, one.file, one.index) for one in pack.findings.sorted()]


@pytest.fixture
def spoil(large: Path) -> Iterator[object]:
    kept: dict[Path, bytes] = {}

    def spoil(path: str, place: int = 3) -> None:
        file = large / "log" / path
        data = kept.setdefault(file, file.read_bytes())
        file.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])

    yield spoil
    for file, data in kept.items():
        file.write_bytes(data)


def test_a_tree_of_three_levels_gives_its_root_and_every_earlier_one(large: Path) -> None:
    """Roots at any size fall out of the same pass."""
    tree, found = walk(large)
    assert found == []
    assert tree.root == tree_root(HASHES)
    assert tree.roots == {size: tree_root(HASHES[:size]) if size else EMPTY_ROOT for size in SIZES}
    assert tree.reached == SIZE


CASES = [
    (["tile/1/000"], [("tile-mismatch", "log/tile/1/000", 0)]),
    (["tile/2/000.p/1"], [("tile-mismatch", "log/tile/2/000.p/1", 0)]),
    (["tile/1/001.p/1"], [("tile-mismatch", "log/tile/1/001.p/1", 65_536)]),
    (["tile/0/007"], [("tile-mismatch", "log/tile/0/007", 7 * 256)]),
    (["tile/entries/007"], [("bundle-mismatch", "log/tile/entries/007", 7 * 256)]),
    (["tile/0/257.p/44"], [("tile-mismatch", "log/tile/0/257.p/44", 65_792)]),
    (["tile/entries/257.p/44"], [("bundle-mismatch", "log/tile/entries/257.p/44", 65_792)]),
    (
        ["tile/0/007", "tile/1/000"],
        [("tile-mismatch", "log/tile/1/000", 0), ("tile-mismatch", "log/tile/0/007", 7 * 256)],
    ),
    (
        ["tile/entries/009", "tile/2/000.p/1"],
        [("tile-mismatch", "log/tile/2/000.p/1", 0), ("bundle-mismatch", "log/tile/entries/009", 9 * 256)],
    ),
]


@pytest.mark.parametrize(("paths", "expected"), CASES, ids=str)
def test_each_spoiled_file_is_named_and_no_other(
    paths: list[str], expected: list[tuple[str, str, int]], large: Path, spoil: object
) -> None:
    """The tile above settles who is wrong; at the edge, the signed root does."""
    for path in paths:
        spoil(path)  # type: ignore[operator]
    assert walk(large)[1] == expected


def test_a_bundle_replaced_together_with_its_tile_is_found_by_the_tile_above(
    large: Path, spoil: object
) -> None:
    """Bundle and tile agree, but neither is part of the tree."""
    kept = {path: (large / path).read_bytes() for path in ("log/tile/entries/005", "log/tile/0/005")}
    (large / "log/tile/entries/005").write_bytes((large / "log/tile/entries/006").read_bytes())
    (large / "log/tile/0/005").write_bytes((large / "log/tile/0/006").read_bytes())
    found = walk(large)[1]
    for path, data in kept.items():
        (large / path).write_bytes(data)
    assert found == [("tile-mismatch", "log/tile/0/005", 5 * 256)]


def test_without_bundle_and_tile_the_tile_above_carries_the_proof_on(large: Path) -> None:
    """What lies behind a hole is checked as before; roots of sizes within it cannot be told."""
    kept = {path: (large / path).read_bytes() for path in ("log/tile/entries/001", "log/tile/0/001")}
    for path in kept:
        (large / path).unlink()
    tree, found = walk(large)
    for path, data in kept.items():
        (large / path).write_bytes(data)
    assert {one[0] for one in found} == {"bundle-missing", "tile-missing"}
    assert tree.root == tree_root(HASHES)
    assert (257 in tree.roots, 65_537 in tree.roots) == (False, True)


def test_without_the_tile_above_too_the_root_cannot_be_told(large: Path) -> None:
    """Nothing is made up for what is not there."""
    paths = ("log/tile/entries/257.p/44", "log/tile/0/257.p/44")
    kept = {path: (large / path).read_bytes() for path in paths}
    for path in kept:
        (large / path).unlink()
    tree, found = walk(large)
    for path, data in kept.items():
        (large / path).write_bytes(data)
    assert {one[0] for one in found} == {"bundle-missing", "tile-missing"}
    assert tree.root is None
    assert tree.lost == {257}


def test_a_tile_of_another_length_is_no_tile(large: Path) -> None:
    """It is named, and what lies below it stands in."""
    path = large / "log/tile/1/000"
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    tree, found = walk(large)
    path.write_bytes(data)
    assert found == [("tile-mismatch", "log/tile/1/000", 0)]
    assert tree.root == tree_root(HASHES)
