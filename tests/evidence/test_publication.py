"""The public log: on a folder and on storage that speaks S3, whole at every moment, and one log for ever."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Self
from uuid import uuid4

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from consentkit.errors import InvalidOption, LedgerCorrupt, LedgerError, LedgerUnavailable
from consentkit.evidence.bucket import Bucket, File, Folder, open_bucket
from consentkit.evidence.export import export
from consentkit.evidence.ledger import Ledger
from consentkit.evidence.publication import Publisher, publish
from consentkit.tlog import (
    NoteSigner,
    build_tiles,
    decode_bundle,
    entries_path,
    leaf_hashes,
    open_checkpoint,
    tile_path,
    tree_root,
)
from tests.evidence.conftest import OpenLedger
from tests.evidence.samples import KEYS, LOG, draft
from tests.object_store import ObjectStore
from tests.support import ROOT

VERIFIER = NoteSigner(LOG, KEYS.log).verifier


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a place with nothing in it."""
    if request.param == "folder":
        return f"file://{tmp_path}/public"
    store: ObjectStore = request.getfixturevalue("object_store")
    return store.url(f"b{uuid4().hex}")


@pytest.fixture
def bucket(place: str) -> Bucket:
    """The place, ready."""
    made = open_bucket(place)
    made.check()
    return made


def fill(ledger: Ledger, count: int) -> None:
    """Append so many records."""
    for future in [ledger.submit(draft()) for _ in range(count)]:
        future.result()


def read_log(bucket: Bucket, prefix: str = "") -> int:
    """Read a log as a stranger would, and return its size."""
    return len(read_leaves(bucket, prefix))


def read_leaves(bucket: Bucket, prefix: str = "") -> list[bytes]:
    """Read a log as a stranger would: the checkpoint, and every file that it needs; check them, return the leaves."""
    found = bucket.read(f"{prefix}checkpoint")
    assert found is not None
    checkpoint = open_checkpoint(found.data, VERIFIER)

    def fetch(path: str) -> tuple[bytes, bool]:
        """A file, or the full one that has replaced it and begins with it (c2sp.org/tlog-tiles)."""
        file, full = bucket.read(f"{prefix}{path}"), path.partition(".p/")[0]
        replaced = file is None and path != full
        file = bucket.read(f"{prefix}{full}") if replaced else file
        assert file is not None, f"{path} is missing, and the log has {checkpoint.size} entries"
        return file.data, replaced

    entries: list[bytes] = []
    for index in range(-(-checkpoint.size // 256)):
        width = min(256, checkpoint.size - 256 * index)
        bundle, replaced = fetch(entries_path(index, width))
        entries += decode_bundle(bundle, 256 if replaced else width, "bundle")[:width]
    for path, data in build_tiles(entries):
        assert fetch(path)[0].startswith(data)
    leaves = leaf_hashes(entries)
    assert tree_root(leaves) == checkpoint.root
    return leaves


def test_what_is_published_is_the_log_and_nothing_else(
    bucket: Bucket, open_ledger: OpenLedger, url: str
) -> None:
    """No record, no opening, no policy: what everybody may see."""
    fill(open_ledger(), 300)
    assert publish(url, bucket) == 302
    assert read_log(bucket) == 302
    assert bucket.names() == {"checkpoint", "checkpoints", "tile"}


def test_it_is_carried_on(bucket: Bucket, open_ledger: OpenLedger, url: str) -> None:
    """Only what is new is written, and partial tiles go when full ones are there."""
    ledger = open_ledger()
    for count in (1, 200, 0, 60, 300):
        fill(ledger, count)
        assert publish(url, bucket) == ledger.size == read_log(bucket)
    assert bucket.length(tile_path(0, 0, 3)) is None


def test_a_pack_can_be_exported_to_it(place: str, open_ledger: OpenLedger, url: str, tmp_path: Path) -> None:
    """File by file what a folder gets."""
    fill(open_ledger(), 20)
    bucket = open_bucket(place)
    export(url, bucket)
    export(url, tmp_path / "pack")
    names = [path.relative_to(tmp_path / "pack") for path in (tmp_path / "pack").rglob("*") if path.is_file()]
    for name in names:
        found = bucket.read(str(name))
        assert found is not None
        assert found.data == (tmp_path / "pack" / name).read_bytes()


def test_swapping_goes_by_what_was_read(bucket: Bucket) -> None:
    """Of two who read the same, one writes."""
    assert bucket.swap("checkpoint", b"1", None)
    assert not bucket.swap("checkpoint", b"x", None)
    first = bucket.read("checkpoint")
    assert bucket.swap("checkpoint", b"2", first)
    assert not bucket.swap("checkpoint", b"3", first)
    assert bucket.read("checkpoint")[0] == b"2"  # type: ignore[index]
    assert bucket.read("nothing") is None


def test_what_never_changes_is_written_once(bucket: Bucket) -> None:
    """The same again is fine; anything else is a fork, or somebody else's, also behind much that is new."""
    bucket.write([File("tile/0/000", b"hashes")])
    bucket.write([File("tile/0/000", b"hashes")])
    new = [File(f"tile/0/{number:03}", b"new") for number in range(1, 30)]
    for others in ([], new):
        with pytest.raises(LedgerError, match="holds another tile/0/000"):
            bucket.write([*others, File("tile/0/000", b"others")])
    assert bucket.read("tile/0/000")[0] == b"hashes"  # type: ignore[index]


def test_what_changes_is_written_anew(bucket: Bucket) -> None:
    """Whatever was there."""
    for data in (b"some", b"more", b"more"):
        bucket.write([File("holds.jsonl", data, fixed=False)])
        assert bucket.read("holds.jsonl")[0] == data  # type: ignore[index]


def test_what_cannot_be_made_is_told(bucket: Bucket) -> None:
    """A store that fails in the middle, say."""

    def files() -> Iterator[File]:
        yield File("tile/0/000", b"hashes")
        raise LedgerCorrupt("lost")

    with pytest.raises(LedgerCorrupt, match="lost"):
        bucket.write(files())


def test_a_fork_is_refused(bucket: Bucket, open_ledger: OpenLedger, url: str, tmp_path: Path) -> None:
    """A place that has seen one log never takes another."""
    fill(open_ledger(), 5)
    publish(url, bucket)
    other = f"sqlite:///{tmp_path}/other.db"
    with Ledger.open(other, keys=KEYS) as fork:
        fill(fork, 9)
        with pytest.raises(LedgerError, match="does not continue it"):
            publish(other, bucket)
    assert read_log(bucket) == 7


def test_a_shorter_log_is_refused(bucket: Bucket, open_ledger: OpenLedger, url: str, tmp_path: Path) -> None:
    """It went back."""
    ledger = open_ledger()
    ledger.close()
    short = tmp_path / "short.db"
    short.write_bytes((tmp_path / "consent.db").read_bytes())
    fill(open_ledger(), 5)
    publish(url, bucket)
    with pytest.raises(LedgerError, match="it has 7 entries, and the ledger has 2"):
        publish(f"sqlite:///{short}", bucket)


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a ledger of 607 entries, and the log in public as it was at seven."""
    folder = tmp_path_factory.mktemp("grown")
    with Ledger.open(f"sqlite:///{folder}/consent.db", keys=KEYS) as ledger:
        fill(ledger, 5)
        publish(f"sqlite:///{folder}/consent.db", Folder(folder / "public"))
        fill(ledger, 600)
    return folder


@settings(max_examples=12, deadline=None)
@given(stop=st.integers(0, 12))
@example(stop=12)
def test_broken_off_anywhere_it_is_whole_and_is_carried_on(grown: Path, stop: int) -> None:
    """A checkpoint never points to what is not there, whichever write is the last one."""

    class Stop(Exception):
        pass

    class Stopping(Folder):
        left = stop

        def _put(self, name: str, data: bytes) -> None:
            if not self.left:
                raise Stop
            self.left -= 1
            super()._put(name, data)

    url = f"sqlite:///{grown}/consent.db"
    with TemporaryDirectory(dir=grown) as folder:
        public = Path(shutil.copytree(grown / "public", f"{folder}/public"))
        try:
            publish(url, Stopping(public))
        except Stop:
            assert read_log(Folder(public)) == 7
        else:
            assert stop >= 9
        publish(url, Folder(public))
        assert read_log(Folder(public)) == 607


def test_several_publish_at_once(place: str, open_ledger: OpenLedger, url: str) -> None:
    """As the processes of a site do."""
    ledger = open_ledger()

    def some(number: int) -> None:
        bucket = open_bucket(place)
        for _ in range(4):
            ledger.append(draft())
            try:
                publish(url, bucket)
            except LedgerUnavailable as error:
                assert "others keep writing" in error.message  # noqa: PT017  it would be tried again

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(some, range(4)))
    publish(url, open_bucket(place))
    assert read_log(open_bucket(place)) == 18


@pytest.mark.slow
def test_it_is_whole_at_every_moment_while_publishers_race_and_are_killed(
    place: str, open_ledger: OpenLedger, url: str
) -> None:
    """What is read in between is always complete, and the beginning of what is read later."""
    open_ledger().close()
    bucket = open_bucket(place)
    sizes, killed, leaves = set[int](), 0, list[bytes]()
    with ExitStack() as stack:
        racers = [stack.enter_context(Racer(url, place)) for _ in range(3)]
        while killed < 8 or len(sizes) < 12:
            if bucket.read("checkpoint") is not None:
                before, leaves = leaves, read_leaves(bucket)
                assert leaves[: len(before)] == before
                sizes.add(len(leaves))
            for number, racer in enumerate(racers):
                if racer.told.count("end") > 2 and racer.told[-1] == "begin":
                    racer.process.kill()
                    killed += 1
                    racers[number] = stack.enter_context(Racer(url, place))
                    break
    assert publish(url, bucket) == read_log(bucket) >= max(sizes)
    assert read_leaves(bucket)[: len(leaves)] == leaves


class Racer:
    """One of the processes that publish; `told` are the first words of what it says."""

    def __init__(self, url: str, place: str) -> None:
        command = [sys.executable, "-m", "tests.evidence.publisher", url, place]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self.told: list[str] = []
        self.thread = Thread(target=self._listen)

    def _listen(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.told.append(line.split()[0])

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.thread.join()
        with self.process:
            pass


def test_a_kill_leaves_a_whole_log(open_ledger: OpenLedger, url: str, tmp_path: Path) -> None:
    """SIGKILL in the middle of publishing."""
    fill(open_ledger(), 700)
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from consentkit.evidence.bucket import Folder\n"
        "from consentkit.evidence.publication import publish\n"
        "class Dying(Folder):\n"
        "    left = 4\n"
        "    def _put(self, name, data):\n"
        "        super()._put(name, data)\n"
        "        self.left -= 1\n"
        "        if not self.left: os.kill(os.getpid(), 9)\n"
        "publish(sys.argv[1], Dying(Path(sys.argv[2])))\n"
    )
    subprocess.run([sys.executable, "-c", program, url, str(tmp_path / "public")], cwd=ROOT, check=False)
    bucket = Folder(tmp_path / "public")
    assert bucket.read("checkpoint") is None
    assert bucket.names() == {"tile"}
    publish(url, bucket)
    assert read_log(bucket) == 702


def test_every_file_is_had_one_by_one(open_ledger: OpenLedger, url: str, tmp_path: Path) -> None:
    """The very bytes that are published, and nothing beyond the head or beside the log."""
    ledger = open_ledger()
    fill(ledger, 600)
    folder = tmp_path / "public"
    publish(url, Folder(folder))
    names = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
    assert len(names) > 8
    for name in names:
        assert ledger.log_file(name) == (folder / name).read_bytes()
    strange = [
        "tile/0/003",
        "tile/entries/002.p/255",
        "tile/1/000",
        "tile/0/000.p/256",
        "../keys",
        "checkpoints/1",
        "checkpoints/x",
        "",
    ]
    assert [name for name in strange if ledger.log_file(name) is not None] == []


def test_a_file_is_found_after_the_power_fails(
    open_ledger: OpenLedger, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each folder up to the place has been synced before the checkpoint, also by one who finds the files there."""
    fill(open_ledger(), 300)
    public = tmp_path / "public"

    class Breaking(Folder):
        def settle(self) -> None:
            raise LedgerUnavailable("stopped")

    with pytest.raises(LedgerUnavailable, match="stopped"):
        publish(url, Breaking(public))
    synced: list[Path] = []
    monkeypatch.setattr("consentkit.evidence.bucket.sync_folder", synced.append)
    publish(url, Folder(public))
    before = synced[: synced.index(public) + 1]
    wanted = {path.parent for path in (public / "tile").rglob("*")} | {public}
    assert {path for path in wanted if path != public / "checkpoints"} <= set(before)


class TestInTheBackground:
    def test_every_head_gets_there(self, place: str, open_ledger: OpenLedger) -> None:
        """While decisions wait for nothing; what is new at the end goes out with `close`."""
        ledger = open_ledger(publish=[place])
        fill(ledger, 10)
        ledger.close()
        assert read_log(open_bucket(place)) == 12

    def test_cosigned_checkpoints_get_there(self, place: str, open_ledger: OpenLedger) -> None:
        """With the cosignatures that they have."""
        from tests.evidence.witnesses import serving as witnessing

        with witnessing("witness.example/one", VERIFIER) as server:
            ledger = open_ledger(publish=[place], witnesses=[server.witness()])
            fill(ledger, 1)
            ledger.cosign()
            ledger.close()
        found = open_bucket(place).read("checkpoint")
        assert found is not None
        assert b"witness.example/one" in found.data
        assert open_bucket(place).length("checkpoints/3") == len(found.data)

    def test_a_place_that_cannot_be_reached_is_told_once(
        self, open_ledger: OpenLedger, url: str, tmp_path: Path
    ) -> None:
        """And caught up with when it is back."""
        (tmp_path / "public").write_bytes(b"in the way")
        told: list[str] = []
        fill(open_ledger(), 3)
        publisher = Publisher(url, Folder(tmp_path / "public"), lambda event, **_: told.append(event))
        steps = [publisher.step() for _ in range(3)]
        assert [step.more for step in steps] == [True] * 3
        assert steps[0].seconds < steps[1].seconds < steps[2].seconds
        assert told == ["publish.late"]
        (tmp_path / "public").unlink()
        assert not publisher.step().more
        assert read_log(Folder(tmp_path / "public")) == 5

    def test_a_place_with_another_log_is_refused(
        self, place: str, open_ledger: OpenLedger, url: str, tmp_path: Path
    ) -> None:
        """A fork of this one, say: which is told, too, once, and what is there stays."""
        told: list[str] = []
        fork = f"sqlite:///{tmp_path}/fork.db"
        with Ledger.open(fork, keys=KEYS, publish=place) as ledger:
            fill(ledger, 2)
        with Ledger.open(
            url, keys=KEYS, publish=place, on_event=lambda event, **_: told.append(event)
        ) as ledger:
            fill(ledger, 5)
        assert told == ["publish.refused"]
        assert read_log(open_bucket(place)) == 4


@pytest.mark.parametrize(
    "url",
    [
        "s3:///prefix",
        "s3://user:secret@bucket/x",
        "s3://bucket/x?acl=public",
        "gopher://x",
        "file://host/x",
        "file:///",
    ],
)
def test_a_url_that_names_no_place_is_refused(url: str) -> None:
    """With what to write instead, and without what may be secret."""
    with pytest.raises(InvalidOption) as refusal:
        open_bucket(url)
    assert refusal.value.remedy
    assert "secret@" not in str(refusal.value)
