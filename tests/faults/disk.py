"""Disks that can be filled, that fail, and whose power can be cut: ext4 file systems in files, where root may mount them."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from attrs import define, field

_SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN
_WITHOUT_THE_LOG = struct.pack(
    "I", 2
)  # EXT4_GOING_FLAGS_NOLOGFLUSH: nothing more is written, as when power fails
_SET_STATUS, _GET_STATUS = 0x4C04, 0x4C05  # LOOP_SET_STATUS64 and its opposite
_STATUS_BYTES, _SIZE_LIMIT_AT = 232, 32
_NEAR = 20 << 20  # the file system's own blocks and its journal lie nearer than that
_TRIES, _PAUSE_SECONDS = 100, 0.05


def _run(*command: str | Path) -> None:
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise OSError(f"{command[0]}: {(ran.stderr or ran.stdout).strip()}")


@define
class Disk:
    """A file system of its own at `folder`, in the file `image`."""

    image: Path
    folder: Path
    _mounted: bool = field(default=False, init=False)

    def mount(self) -> None:
        """Mount it; after `cut_power` this is what the next start of the machine does."""
        _run("mount", "-o", "loop", self.image, self.folder)
        self._mounted = True

    def unmount(self) -> None:
        """Unmount it, once nobody uses it any more."""
        for attempt in range(_TRIES):
            try:
                _run("umount", self.folder)
            except OSError:
                if attempt == _TRIES - 1:
                    raise
                time.sleep(_PAUSE_SECONDS)
            else:
                break
        self._mounted = False

    def cut_power(self) -> None:
        """Keep what was synced, and lose what was not; every process that uses the disk gets errors from now on."""
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, _WITHOUT_THE_LOG)
        finally:
            os.close(descriptor)

    def take_near_end(self) -> None:
        """Use up the blocks near the file system's own, so that all files to come lie beyond them."""
        with (self.folder / "filler").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, _NEAR)
            os.fsync(file.fileno())

    def fail(self, failing: bool) -> None:
        """Let the device refuse to read and write all blocks but those near the file system's own, or mend it."""
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
        (device,) = (words[0] for words in mounts if words[1] == str(self.folder))
        descriptor, status = os.open(device, os.O_RDWR), bytearray(_STATUS_BYTES)
        try:
            fcntl.ioctl(descriptor, _GET_STATUS, status)
            struct.pack_into("=Q", status, _SIZE_LIMIT_AT, _NEAR if failing else 0)
            fcntl.ioctl(descriptor, _SET_STATUS, bytes(status))
        finally:
            os.close(descriptor)

    def remove(self) -> None:
        """Unmount it for good."""
        if self._mounted:
            self.unmount()


@contextmanager
def ext4(megabytes: int) -> Iterator[Disk]:
    """A disk of so many megabytes."""
    base = Path(tempfile.mkdtemp(prefix="ckdisk"))
    base.chmod(0o711)  # a database server that runs under a user of its own passes through
    disk = Disk(base / "image", base / "disk")
    try:
        disk.folder.mkdir()
        with disk.image.open("wb") as file:
            file.truncate(megabytes << 20)
        layout = ("-b", "4096", "-J", "size=4,location=0", "-E", "lazy_itable_init=0,lazy_journal_init=0")
        _run("mkfs.ext4", "-q", "-F", *layout, disk.image)
        disk.mount()
        yield disk
    finally:
        disk.remove()
        shutil.rmtree(base)


@cache
def unmountable() -> str | None:
    """Say why no disk can be made here; None if one can, and its power can be cut."""
    if os.geteuid():
        return "only root may mount a disk"
    if missing := [name for name in ("mkfs.ext4", "mount", "umount") if shutil.which(name) is None]:
        return f"{missing[0]} is not installed"
    try:
        with ext4(32) as disk:
            disk.cut_power()
    except OSError as error:
        return f"no disk can be mounted here, or its power not cut: {error}"
    return None
