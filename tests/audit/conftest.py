"""A good pack to spoil."""

import shutil
from pathlib import Path

import pytest

from tests.audit.packs import PackWriter, sparse


@pytest.fixture(scope="session")
def writer() -> PackWriter:
    """The writer of a pack of 303 entries: two bundles, three tiles, two openings files, two checkpoints."""
    return sparse()


@pytest.fixture(scope="session")
def good_pack(writer: PackWriter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That pack as a folder; not to be changed."""
    return writer.write(tmp_path_factory.mktemp("good"))


@pytest.fixture
def pack(good_pack: Path, tmp_path: Path) -> Path:
    """A copy of that folder, to be spoiled."""
    return Path(shutil.copytree(good_pack, tmp_path / "pack"))
