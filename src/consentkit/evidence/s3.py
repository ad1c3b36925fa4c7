"""Storage that speaks S3, through obstore: `s3://bucket/prefix?endpoint=https://...&region=...`.

Credentials come from where AWS's tools look for them (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, instance
roles), never from the URL. Files are written with conditional requests: `If-None-Match: *` for what never
changes, `If-Match` for what does. Not every storage that speaks S3 obeys them, so `check` tries.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
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
from consentkit.evidence.bucket import Found, differs

__all__ = ["S3"]

_OPTIONS: Final = frozenset({"endpoint", "region", "path_style"})
_TIMEOUT: Final = timedelta(seconds=20)
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

    def create(self, name: str, data: bytes) -> None:
        """Write a file unless it is there."""
        with self._explaining():
            try:
                obstore.put(self._store, name, data, mode="create")
            except AlreadyExistsError:
                found = self.read(name)
                if found is None or found.data != data:
                    raise differs(self._place, name) from None

    def put(self, name: str, data: bytes) -> None:
        """Write a file, whatever was there."""
        with self._explaining():
            obstore.put(self._store, name, data)

    def swap(self, name: str, data: bytes, old: Found | None) -> bool:
        """Replace a file if it is still the same."""
        mode: Any = "create" if old is None else {"e_tag": old.version}
        with self._explaining():
            try:
                obstore.put(self._store, name, data, mode=mode)
            except (AlreadyExistsError, PreconditionError):
                return False
        return True

    def settle(self) -> None:
        """Do nothing: an answer to a write says that it is durable."""

    def drop(self, name: str) -> None:
        """Remove what begins with `name`."""
        with suppress(BaseError):
            for page in obstore.list(self._store, name):
                obstore.delete(self._store, [one["path"] for one in page])

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except BaseError as error:
            # The driver's text may have a signed address in it, so only its first line's beginning is shown.
            reason = (
                f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0].partition('?')[0][:200]}"
            )
            raise LedgerUnavailable(
                f"{self._place} cannot be used: {reason}",
                remedy="check bucket, endpoint, region and credentials",
            ) from error
