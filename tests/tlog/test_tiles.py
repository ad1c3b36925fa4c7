"""Tiles and bundles: the files of a log, and the reader that finds out any that do not belong to it."""

import contextlib

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from consentkit import tlog
from consentkit.errors import InvalidLog, InvalidProof, InvalidTile
from tests.tlog.logs import entries_of, flip, reader_of

SIZES = [0, 1, 2, 255, 256, 257, 511, 512, 513, 1000]
ENTRIES = entries_of(1000)
LEAVES = tlog.leaf_hashes(ENTRIES)

tiles = st.builds(
    tlog.Tile, st.none() | st.integers(0, 63), st.integers(0, 10**18 - 1), st.integers(1, tlog.TILE_WIDTH)
)


def files_of(size: int) -> dict[str, bytes]:
    return dict(tlog.build_tiles(ENTRIES[:size]))


def reader_over(files: dict[str, bytes], size: int) -> tlog.TileReader:
    return tlog.TileReader(files.__getitem__, size, tlog.tree_root(LEAVES[:size]))


def read_all(files: dict[str, bytes], size: int) -> list[bytes]:
    """Read every file of a log through a reader."""
    reader = reader_over(files, size)
    for tile in tlog.tiles_for(size):
        if tile.level is not None:
            reader.tile(tile.level, tile.index)
    return [entry for index in range(-(-size // tlog.TILE_WIDTH)) for entry in reader.bundle(index)]


class TestPaths:
    @given(tiles)
    def test_they_round_trip(self, tile: tlog.Tile) -> None:
        """Tiles and bundles, full and partial, of any index."""
        assert tlog.parse_tile_path(tile.path) == tile

    def test_an_index_is_written_in_groups_of_three_digits(self) -> None:
        """So that no folder holds more than about a thousand files."""
        assert tlog.tile_path(0, 1234067) == "tile/0/x001/x234/067"
        assert tlog.tile_path(63, 0, 1) == "tile/63/000.p/1"
        assert tlog.entries_path(273, 112) == "tile/entries/273.p/112"

    @pytest.mark.parametrize(
        "path",
        [
            "",
            "checkpoint",
            "tile/0",
            "tile/0/",
            "tile/0/0",
            "tile/0/0000",
            "tile/00/000",
            "tile/64/000",
            "tile/-1/000",
            "tile/x/000",
            "tile/0/x000/001",
            "tile/0/001/002",
            "tile/0/000.p/0",
            "tile/0/000.p/01",
            "tile/0/000.p/256",
            "tile/0/000.p/999",
            "tile/0/000/../001",
            "/tile/0/000",
            "tile/0/000\n",
            "tile/0/00\N{ARABIC-INDIC DIGIT ONE}",
            "tile/0/" + "x001/" * 6 + "001",
        ],
    )
    def test_any_other_path_is_refused(self, path: str) -> None:
        """One file, one path; nothing outside the log."""
        with pytest.raises(InvalidTile) as caught:
            tlog.parse_tile_path(path)
        assert caught.value.path == path

    @given(st.text() | st.text("tile/entrs0123456789x.p"))
    def test_arbitrary_text_never_raises_anything_else(self, path: str) -> None:
        """Paths come from URLs."""
        with contextlib.suppress(InvalidTile):
            assert tlog.parse_tile_path(path).path == path


class TestLayout:
    @pytest.mark.parametrize("size", SIZES)
    def test_the_files_of_a_log_are_those_of_its_size(self, size: int) -> None:
        """Nothing missing, nothing besides."""
        paths = [tile.path for tile in tlog.tiles_for(size)]
        assert len(set(paths)) == len(paths)
        assert set(paths) == set(files_of(size))

    @given(st.integers(0, 2**40), st.integers(0, 2**12))
    def test_new_tiles_are_what_the_smaller_tree_lacked(self, old: int, more: int) -> None:
        """A publisher that writes them on top of the old ones has the whole tree."""
        assume(old < 2**20 or more < 2**12)
        new = {tile.path for tile in tlog.new_tiles(old, old + more)}
        if old < 2**16:
            before, after = ({tile.path for tile in tlog.tiles_for(size)} for size in (old, old + more))
            assert after - before == new
        assert bool(new) == bool(more)

    @given(st.integers(0, 2**18))
    def test_partial_tiles_are_those_that_are_not_full(self, size: int) -> None:
        """The ones that a larger tree may replace."""
        assert list(tlog.partial_tiles(size)) == [
            tile for tile in tlog.tiles_for(size) if tile.width < tlog.TILE_WIDTH
        ]

    def test_bundles_come_before_the_hashes_over_them(self) -> None:
        """A reader never meets a hash whose entries are not there yet."""
        levels = [-1 if tile.level is None else tile.level for tile in tlog.tiles_for(70_000)]
        assert levels == sorted(levels)

    def test_a_large_tree_is_laid_out_without_visiting_its_leaves(self) -> None:
        """Only the right edge is new when a huge log grows by one."""
        paths = [tile.path for tile in tlog.new_tiles(2**40, 2**40 + 1)]
        assert paths == ["tile/entries/x004/x294/x967/296.p/1", "tile/0/x004/x294/x967/296.p/1"]

    @pytest.mark.parametrize("size", SIZES)
    def test_tiles_hold_what_the_reader_of_hashes_says(self, size: int) -> None:
        """Built from entries or taken from a store, a tile is the same."""
        files = files_of(size)
        for tile in tlog.tiles_for(size):
            if tile.level is not None:
                assert tlog.tile_data(tile, reader_of(LEAVES[:size])) == files[tile.path]

    def test_a_bundle_cannot_be_made_of_hashes(self) -> None:
        """It holds what was hashed."""
        with pytest.raises(InvalidTile, match="entries"):
            tlog.tile_data(tlog.Tile(None, 0), reader_of(LEAVES))

    @pytest.mark.parametrize("size", SIZES)
    def test_building_confirms_the_root(self, size: int) -> None:
        """The root it is told must be that of the entries, or the export fails at its end."""
        root = tlog.tree_root(LEAVES[:size])
        assert dict(tlog.build_tiles(ENTRIES[:size], root=root)) == files_of(size)
        with pytest.raises(InvalidProof):
            list(tlog.build_tiles(ENTRIES[:size], root=flip(root, 7)))

    def test_three_levels_build_as_well(self) -> None:
        """65,537 entries: the first size with a tile of level 2 and an entry beyond it."""
        entries = [b"%d" % index for index in range(65_537)]
        root = tlog.tree_root(tlog.leaf_hashes(entries))
        files = dict(tlog.build_tiles(entries, root=root))
        assert [path for path in files if path.startswith("tile/2/")] == ["tile/2/000.p/1"]
        reader = tlog.TileReader(files.__getitem__, 65_537, root)
        assert reader.entry(65_536) == b"65536"
        assert reader(16, 0) == tlog.tree_root(tlog.leaf_hashes(entries[:65_536]))


class TestBundles:
    @given(st.lists(st.binary(max_size=300), max_size=20))
    def test_they_round_trip(self, entries: list[bytes]) -> None:
        """Empty entries too."""
        data = tlog.encode_bundle(entries)
        assert tlog.decode_bundle(data, len(entries), "p") == entries

    def test_the_largest_entry_fits_and_the_next_does_not(self) -> None:
        """Two bytes hold its length."""
        largest = bytes(tlog.MAX_ENTRY_BYTES)
        assert tlog.decode_bundle(tlog.encode_bundle([largest]), 1, "p") == [largest]
        with pytest.raises(InvalidLog, match="65536"):
            tlog.encode_bundle([largest + b"\0"])

    @pytest.mark.parametrize("data", [b"\0", b"\0\2a", b"\0\1a\0", b"", b"\0\1a\0\0"])
    def test_one_that_is_cut_or_has_another_count_is_refused(self, data: bytes) -> None:
        """With its path."""
        with pytest.raises(InvalidTile) as caught:
            tlog.decode_bundle(data, 1, "tile/entries/000.p/1")
        assert caught.value.path == "tile/entries/000.p/1"

    @given(st.binary(), st.integers(0, 256))
    def test_arbitrary_bytes_never_raise_anything_else(self, data: bytes, count: int) -> None:
        """And what is accepted is the one encoding of its entries."""
        with contextlib.suppress(InvalidTile):
            assert tlog.encode_bundle(tlog.decode_bundle(data, count, "p")) == data


class TestReader:
    @pytest.mark.parametrize("size", SIZES)
    def test_it_returns_what_was_logged(self, size: int) -> None:
        """Every entry, from the files alone."""
        assert read_all(files_of(size), size) == ENTRIES[:size]

    @pytest.mark.parametrize("size", [1, 300, 1000])
    def test_it_is_a_reader_of_hashes(self, size: int) -> None:
        """Every complete subtree, and nothing else."""
        reader, expected = reader_over(files_of(size), size), reader_of(LEAVES[:size])
        for level in range(11):
            for index in range(size >> level):
                assert reader(level, index) == expected(level, index)
            with pytest.raises(InvalidProof):
                reader(level, size >> level)

    def test_proofs_can_be_made_from_it(self) -> None:
        """By anybody who has the files."""
        reader = reader_over(files_of(1000), 1000)
        proof = tlog.prove_inclusion(777, 1000, reader)
        tlog.check_inclusion(LEAVES[777], 777, 1000, proof, reader.root)
        proof = tlog.prove_consistency(300, 1000, reader)
        tlog.check_consistency(300, 1000, tlog.tree_root(LEAVES[:300]), reader.root, proof)

    @given(st.sampled_from([1, 257, 600]), st.data())
    def test_one_changed_bit_in_any_file_is_noticed_and_named(self, size: int, data: st.DataObject) -> None:
        """The file at fault, or, where the right edge as a whole fails, the files of the edge."""
        files = files_of(size)
        path = data.draw(st.sampled_from(sorted(files)))
        files[path] = flip(files[path], data.draw(st.integers(0, len(files[path]) * 8 - 1)))
        with pytest.raises(InvalidTile) as caught:
            read_all(files, size)
        assert path in str(caught.value)

    @given(st.sampled_from([1, 257, 600]), st.data())
    def test_a_missing_or_cut_file_is_noticed_and_named(self, size: int, data: st.DataObject) -> None:
        """Whichever it is."""
        files = files_of(size)
        path = data.draw(st.sampled_from(sorted(files)))
        if data.draw(st.booleans()):
            del files[path]
        else:
            files[path] = files[path][:-1]
        with pytest.raises(InvalidTile) as caught:
            read_all(files, size)
        assert caught.value.path == path

    def test_two_swapped_entries_are_noticed_and_the_first_is_named(self) -> None:
        """A bundle may be well formed and still not the one that was signed."""
        files = files_of(600)
        entries = ENTRIES[256:512]
        entries[3], entries[9] = entries[9], entries[3]
        files["tile/entries/001"] = tlog.encode_bundle(entries)
        with pytest.raises(InvalidTile, match="entry 259 ") as caught:
            reader_over(files, 600).bundle(1)
        assert caught.value.path == "tile/entries/001"

    def test_another_root_is_noticed_before_anything_is_read(self) -> None:
        """The files may be a fine log, but not the signed one."""
        with pytest.raises(InvalidTile, match="signed root"):
            tlog.TileReader(files_of(600).__getitem__, 600, tlog.tree_root(LEAVES[:601]))

    def test_an_empty_tree_has_the_empty_root(self) -> None:
        """And no other."""
        with pytest.raises(InvalidTile):
            tlog.TileReader({}.__getitem__, 0, bytes(32))
        with pytest.raises(InvalidProof):
            tlog.TileReader({}.__getitem__, 0, tlog.EMPTY_ROOT).bundle(0)

    def test_a_full_tile_stands_in_for_a_partial_one(self) -> None:
        """Logs may delete a partial tile once the full one is there."""
        files = files_of(300) | files_of(1000)
        del files["tile/0/001.p/44"], files["tile/entries/001.p/44"]
        assert read_all(files, 300) == ENTRIES[:300]

    def test_a_file_that_the_system_cannot_read_counts_as_missing(self) -> None:
        """Whatever OSError a disk raises."""

        def fetch(path: str) -> bytes:
            raise PermissionError(path)

        with pytest.raises(InvalidTile, match="cannot be read") as caught:
            tlog.TileReader(fetch, 5, tlog.tree_root(LEAVES[:5]))
        assert isinstance(caught.value.__cause__, PermissionError)

    @pytest.mark.parametrize(
        ("level", "index"), [(0, 1000), (0, -1), (-1, 0), (3, 125), (10, 0), (600, 0), (8, 3)]
    )
    def test_a_hash_that_the_tree_lacks_is_refused(self, level: int, index: int) -> None:
        """Incomplete subtrees have no hash of their own."""
        with pytest.raises(InvalidProof, match="has no"):
            reader_over(files_of(1000), 1000)(level, index)

    @pytest.mark.parametrize("index", [-1, 1000])
    def test_an_entry_that_the_tree_lacks_is_refused(self, index: int) -> None:
        """Counting from the end is no feature."""
        with pytest.raises(InvalidProof, match="has no"):
            reader_over(files_of(1000), 1000).entry(index)

    def test_it_keeps_few_tiles_in_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An audit of any size runs in bounded memory; a tile that was dropped is fetched and proven again."""
        monkeypatch.setattr("consentkit.tlog.tiles._CACHED_TILES", 1)
        files, fetched = files_of(1000), []
        reader = tlog.TileReader(
            lambda path: fetched.append(path) or files[path], 1000, tlog.tree_root(LEAVES)
        )
        for index in (0, 0, 1, 0):
            reader.tile(0, index)
        assert [path for path in fetched if path.startswith("tile/0/00")] == [
            *(path for path in fetched if ".p/" in path and path.startswith("tile/0/00")),
            "tile/0/000",
            "tile/0/001",
            "tile/0/000",
        ]
