"""Storage that speaks S3, through obstore: `s3://bucket/prefix?endpoint=https://...&region=...`.

Credentials come from where AWS's tools look for them (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, instance
roles), never from the URL. Files are written with conditional requests: `If-None-Match: *` for what never
changes, `If-Match` for the log's head. Not every storage that speaks S3 obeys them, so `check` tries.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cache
from queue import Queue
from threading import Thread
from typing import Any, Final, Self
from urllib.parse import parse_qsl, unquote, urlsplit

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotFoundError,
    PreconditionError,
)
from obstore.store import S3Store

from consentkit.errors import InvalidOption, LedgerError, LedgerUnavailable
from consentkit.evidence.bucket import File, Found, differs

__all__ = ["S3"]

_REVEALING: Final = re.compile(r"[?<\n]")
_OPTIONS: Final = frozenset({"endpoint", "region", "path_style"})
_TIMEOUT: Final = timedelta(seconds=20)
_AT_ONCE: Final = 8
_ATTEMPTS: Final = 3
_RETRY: Final[Any] = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=30),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=3), "base": 2},
}


class S3:
    """A prefix of a bucket."""

    def __init__(self, store: S3Store, place: str) -> None:
        self._store, self._place = store, place

    @classmethod
    def of_url(cls, url: str) -> Self:
        """Read a URL. Raises InvalidOption for one that names no bucket, or says what it cannot."""
        parts = urlsplit(url)
        given = dict(parse_qsl(parts.query))
        place = f"s3://{parts.hostname or ''}{parts.path}".rstrip("/")
        if not parts.hostname or parts.username or parts.password:
            raise InvalidOption(
                f"{place!r} names no bucket, or has credentials in it",
                remedy="write it like s3://bucket/prefix; credentials come from the environment",
            )
        if unknown := sorted(given.keys() - _OPTIONS):
            raise InvalidOption(
                f"{place!r} cannot have {unknown[0]!r}", remedy=f"it takes {', '.join(sorted(_OPTIONS))}"
            )
        endpoint = given.get("endpoint", "")
        config: Any = {"virtual_hosted_style_request": given.get("path_style", "true") == "false"}
        if endpoint:
            config["endpoint"] = endpoint
        if "region" in given:
            config["region"] = given["region"]
        store = S3Store(
            parts.hostname,
            prefix=unquote(parts.path).strip("/") or None,
            config=config,
            client_options={"timeout": _TIMEOUT, "allow_http": endpoint.startswith("http://")},
            retry_config=_RETRY,
        )
        return cls(store, place)

    @property
    def place(self) -> str:
        """Bucket and prefix."""
        return self._place

    def check(self) -> None:
        """Try whether conditions are obeyed. Raises LedgerError, naming the one that is not."""
        name = f"selftest-{secrets.token_hex(8)}"
        with self._explaining():
            try:
                first = obstore.put(self._store, name, b"1", mode="create")
                self._expect(self._refused(name, "create"), "If-None-Match: * on a file that is there")
                self._expect(bool(first["e_tag"]), "ETag in the answer to a write")
                stale: Any = {"e_tag": first["e_tag"]}
                obstore.put(self._store, name, b"2", mode=stale)
                self._expect(self._refused(name, stale), "If-Match with the tag of a file that was replaced")
                self._expect(
                    bytes(obstore.get(self._store, name).bytes()) == b"2", "reading what was written"
                )
            finally:
                with suppress(BaseError):
                    obstore.delete(self._store, name)

    def _refused(self, name: str, mode: Any) -> bool:
        try:
            obstore.put(self._store, name, b"3", mode=mode)
        except (AlreadyExistsError, PreconditionError):
            return True
        return False

    def _expect(self, held: bool, what: str) -> None:
        if not held:
            raise LedgerError(
                f"{self._place} does not keep its promises: {what} does not do what it should",
                remedy="two publishers could overwrite each other there; use storage with conditional writes",
            )

    def names(self) -> set[str]:
        """Return the first segments below the prefix."""
        with self._explaining():
            found = obstore.list_with_delimiter(self._store)
            paths = [one["path"] for one in found["objects"]] + list(found["common_prefixes"])
            return {path.strip("/").rpartition("/")[2] for path in paths}

    def read(self, name: str) -> Found | None:
        """Return a file; None when there is none."""
        with self._explaining():
            try:
                result = obstore.get(self._store, name)
                return Found(bytes(result.bytes()), result.meta["e_tag"] or "")
            except (NotFoundError, FileNotFoundError):
                return None

    def length(self, name: str) -> int | None:
        """Return the size of a file."""
        with self._explaining():
            try:
                return obstore.head(self._store, name)["size"]
            except (NotFoundError, FileNotFoundError):
                return None

    def write(self, files: Iterable[File]) -> None:
        """Write several files at once.

        They are fetched and compared first, until so many in a row are not there that no earlier run can have come
        further, and sent without asking from then on.
        """
        absent = 0

        def write(file: File) -> None:
            nonlocal absent
            found = self.read(file.name) if absent < _AT_ONCE else None
            absent = absent + 1 if found is None else 0
            if found is not None and found.data == file.data:
                return
            if not file.fixed:
                with self._explaining():
                    self._put(file.name, file.data, "overwrite", fixed=False)
            elif found is None:
                self._create(file)
            else:
                raise differs(self._place, file.name)

        _at_once(write, files)

    def _create(self, file: File) -> None:
        """Write a file unless it is there, by somebody who was quicker or has died."""
        with self._explaining():
            for _ in range(_ATTEMPTS):
                with suppress(AlreadyExistsError):
                    self._put(file.name, file.data, "create", fixed=True)
                    return
                if (found := self.read(file.name)) is None:
                    continue  # somebody was writing it, and failed
                if found.data != file.data:
                    raise differs(self._place, file.name)
                return
        raise LedgerUnavailable(
            f"{self._place} says that {file.name} is there, and has nothing to read",
            remedy="it will be tried again",
        )

    def swap(self, name: str, data: bytes, old: Found | None) -> bool:
        """Replace a file if it is still the same."""
        mode: Any = "create" if old is None else {"e_tag": old.version}
        with self._explaining():
            try:
                self._put(name, data, mode, fixed=False)
            except (AlreadyExistsError, PreconditionError):
                return False
        return True

    def _put(self, name: str, data: bytes, mode: Any, *, fixed: bool) -> None:
        """Write a file with the header fields that it is to be served with (c2sp.org/tlog-tiles)."""
        kind = "application/octet-stream" if "tile/" in name else "text/plain; charset=utf-8"
        caching = "public, max-age=31536000, immutable" if fixed else "no-cache"
        fields: Any = {"Content-Type": kind, "Cache-Control": caching}
        obstore.put(self._store, name, data, attributes=fields, mode=mode)

    def settle(self) -> None:
        """Do nothing: an answer to a write says that it is durable."""

    def drop(self, name: str) -> None:
        """Remove what begins with `name`."""
        with suppress(BaseError):
            for page in obstore.list(self._store, name):
                obstore.delete(self._store, [one["path"] for one in page])

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        _check_process()
        try:
            yield
        except BaseError as error:
            # What the driver says may have a signed address in it, and what the server answered.
            told = _REVEALING.split(str(error).strip(), maxsplit=1)[0][:200]
            reason = f"{type(error).__name__}: {told}"
            raise LedgerUnavailable(
                f"{self._place} cannot be used: {reason}",
                remedy="check bucket, endpoint, region and credentials",
            ) from None


def _at_once(write: Callable[[File], None], files: Iterable[File]) -> None:
    """Write files on several threads, none of which keeps a process alive; raises the first error, all being over."""
    waiting: Queue[File | None] = Queue(1)
    errors: list[BaseException] = []
    threads: list[Thread] = []

    def work() -> None:
        while (file := waiting.get()) is not None:
            try:
                if not errors:
                    write(file)
            except BaseException as error:  # noqa: BLE001  told by the thread that waits
                errors.append(error)

    try:
        for file in files:
            if errors:
                break
            if len(threads) < _AT_ONCE:
                thread = Thread(target=work, name="consentkit-s3", daemon=True)
                thread.start()
                threads.append(thread)
            waiting.put(file)
    finally:
        for _ in threads:
            waiting.put(None)
        for thread in threads:
            thread.join()
    if errors:
        raise errors[0]


@cache
def _first_user() -> int:
    """Return the process that used obstore first: this one, or one that it was forked from."""
    return os.getpid()


def _check_process() -> None:
    """Refuse to go on in a process that was forked from one that used obstore, whose threads are the parent's."""
    if _first_user() != os.getpid():
        raise LedgerUnavailable(
            "storage that speaks S3 cannot be used in a process that was forked from one that used it",
            remedy="open the ledger, and decide, only after the fork",
        )
