"""Keys: who signs, with what, and what a signature under a key proves.

A site has three secrets, kept apart: the *record key* signs each visitor's decision, the *log key* signs
the head of the log, and the *cookie secrets* authenticate the consent cookie. An auditor trusts the log key
alone, through the trust file that `write_keys` puts beside the secrets.

Ed25519 throughout (RFC 8032). A key's id is its JWK thumbprint (RFC 7638 with the members of RFC 8037), so
anybody who has a public key can compute it. Anything that offers `Signer` may stand in for a key in a file,
which is how a key management service is used.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import attrs
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from consentkit.errors import InvalidKey

__all__ = [
    "CookieKey",
    "CookieKeys",
    "Ed25519Signer",
    "Keys",
    "Signer",
    "check_log_name",
    "check_public_key",
    "jwk_set",
    "thumbprint",
    "verify_ed25519",
    "write_keys",
]

_log = logging.getLogger(__name__)

_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P
_Y_ORDER_8 = 2707385501144840649318225287225658788936804267575313519463743609750303402022
_SMALL_ORDER_Y = frozenset({0, 1, _P - 1, _Y_ORDER_8, _P - _Y_ORDER_8})

_LOG_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?(?:/[A-Za-z0-9._=-]+)*")
_LOG_PEM, _RECORD_PEM, _COOKIE, _LOG_NAME_TXT, _TRUST = (
    "log.pem",
    "record.pem",
    "cookie.json",
    "log-name.txt",
    "trust.txt",
)
_COOKIE_SCHEMA = "consentkit-cookie-keys/1"
_MAX_FILE = 65536
_STATES = 1024  # scopes whose keyed state is kept
_MAKE_KEYS = "make keys with: consentkit keys new DIR"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def check_log_name(name: str) -> str:
    """Return `name` once it can name a log: a URL without its scheme, such as `example.com/consent`.

    Raises InvalidKey for a scheme, a space, a `+`, and whatever else C2SP's tlog-checkpoint and signed-note
    or the entries of the log cannot carry; at most 256 characters.
    """
    if len(name) <= 256 and _LOG_NAME.fullmatch(name):
        return name
    raise InvalidKey(
        f"{name[:300]!r} cannot name a log",
        remedy="use a URL without its scheme, such as example.com/consent (letters, digits, . - _ = /)",
    )


def check_public_key(raw: bytes) -> bytes:
    """Return `raw`, the 32 bytes of an Ed25519 public key, once it is known to be safe to verify under.

    Raises InvalidKey for another length, a non-canonical encoding, bytes that are no point of the curve, and
    the points of small order, under which anybody can sign (RFC 8032 section 5.1.3; RFC 7748 section 7).
    """
    if len(raw) != 32:
        raise InvalidKey(f"an Ed25519 public key has 32 bytes, not {len(raw)}")
    y = int.from_bytes(raw, "little") & (2**255 - 1)
    if y >= _P:
        raise InvalidKey("the Ed25519 public key is not in its canonical encoding")
    if y in _SMALL_ORDER_Y:
        raise InvalidKey("the Ed25519 public key is a point of small order", remedy="it proves nothing")
    x_squared = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    if pow(x_squared, (_P - 1) // 2, _P) != 1:
        raise InvalidKey("the Ed25519 public key is not a point of the curve")
    return raw


@lru_cache(maxsize=256)
def _public_key(raw: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(check_public_key(raw))


def verify_ed25519(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether `signature` (64 bytes) is one over `message` under the raw `public_key`.

    Raises InvalidKey for a key that `check_public_key` refuses, never for a bad signature.
    """
    try:
        _public_key(public_key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


@lru_cache(maxsize=256)
def thumbprint(public_key: bytes) -> str:
    """Return the key id of a raw Ed25519 public key: 43 characters of base64url.

    It is the SHA-256 JWK thumbprint of RFC 7638 over the members that RFC 8037 section 2 names.
    """
    jwk = f'{{"crv":"Ed25519","kty":"OKP","x":"{_base64url(public_key)}"}}'
    return _base64url(hashlib.sha256(jwk.encode()).digest())


def jwk_set(*public_keys: bytes) -> dict[str, list[dict[str, str]]]:
    """Return raw Ed25519 public keys as a JWK Set (RFC 7517 section 5), each with its thumbprint as `kid`."""
    return {
        "keys": [
            {"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": thumbprint(key), "x": _base64url(key)}
            for key in map(check_public_key, public_keys)
        ]
    }


class Signer(Protocol):
    """Whatever signs with one Ed25519 key: a key in memory, or a client of a key management service.

    `sign` is called from the ledger's own thread and may block; what it raises refuses the append at hand.
    """

    @property
    def key_id(self) -> str:
        """The JWK thumbprint of `public_key`."""
        ...

    @property
    def public_key(self) -> bytes:
        """The raw public key, 32 bytes."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Return the 64 bytes of an Ed25519 signature over `data`."""
        ...


@attrs.frozen
class Ed25519Signer:
    """A `Signer` whose private key is in this process's memory."""

    _key: Ed25519PrivateKey = attrs.field(repr=False, eq=False)
    public_key: bytes = attrs.field(init=False)
    key_id: str = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        public = self._key.public_key().public_bytes_raw()
        object.__setattr__(self, "public_key", public)
        object.__setattr__(self, "key_id", thumbprint(public))

    @classmethod
    def generate(cls) -> Ed25519Signer:
        """Return a signer with a new random key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, pem: bytes) -> Ed25519Signer:
        """Read an unencrypted PKCS#8 PEM private key (RFC 8410). Raises InvalidKey for anything else."""
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except TypeError as error:
            raise InvalidKey("the private key is encrypted", remedy="store it in clear, mode 0600") from error
        except (ValueError, UnsupportedAlgorithm) as error:
            raise InvalidKey("this is no PKCS#8 PEM private key") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise InvalidKey("the private key is not an Ed25519 key", remedy=_MAKE_KEYS)
        return cls(key)

    def to_pem(self) -> bytes:
        """Return the private key as unencrypted PKCS#8 PEM."""
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def sign(self, data: bytes) -> bytes:
        """Return the 64 bytes of the Ed25519 signature over `data`."""
        return self._key.sign(data)


@attrs.frozen
class CookieKey:
    """One secret of 32 bytes under a key id of four base64url characters; `use` is `sign` or `verify`."""

    key_id: str
    secret: bytes = attrs.field(repr=False)
    use: str = "sign"

    def __attrs_post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]{4}", self.key_id):
            raise InvalidKey(f"the cookie key id {self.key_id[:40]!r} is not four base64url characters")
        if len(self.secret) != 32:
            raise InvalidKey(f"cookie key {self.key_id} has a secret of {len(self.secret)} bytes, not 32")
        if self.use not in ("sign", "verify"):
            raise InvalidKey(f"cookie key {self.key_id} has the use {self.use[:40]!r}, not sign or verify")

    @classmethod
    def generate(cls, use: str = "sign") -> CookieKey:
        """Return a new random key."""
        return cls(_base64url(secrets.token_bytes(3)), secrets.token_bytes(32), use)


@attrs.frozen
class CookieKeys:
    """The ring of secrets that authenticate the consent cookie: one signs, all of them verify.

    A secret is rotated in two phases, so that no process ever meets a cookie whose key it does not have:
    `rotate_in` the new key as one that verifies and deploy that everywhere; then `sign_with` it and deploy
    again. `without` drops the old one once its cookies may be asked for again.
    """

    keys: tuple[CookieKey, ...]
    _states: dict[tuple[str, str], hmac.HMAC] = attrs.field(init=False, factory=dict, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        if len({key.key_id for key in self.keys}) != len(self.keys):
            raise InvalidKey("two cookie keys have the same id")
        if (signing := sum(key.use == "sign" for key in self.keys)) != 1:
            raise InvalidKey(f"exactly one cookie key signs, not {signing}", remedy="mark others as verify")

    @property
    def signing(self) -> CookieKey:
        """The key that new cookies are authenticated with."""
        return next(key for key in self.keys if key.use == "sign")

    def find(self, key_id: str) -> CookieKey | None:
        """Return the key of that id, whatever its use, or None."""
        return next((key for key in self.keys if key.key_id == key_id), None)

    def mac(self, key_id: str, scope: str, data: bytes) -> bytes:
        """Return HMAC-SHA-256 over `data` under the key that `derive` gives. Raises InvalidKey for an unknown id."""
        state = self._states.get((key_id, scope))
        if state is None:
            state = hmac.new(self.derive(key_id, scope), digestmod="sha256")
            if len(self._states) >= _STATES:  # a scope is what a client says that our host is
                self._states.clear()
            self._states[key_id, scope] = state
        mac = state.copy()
        mac.update(data)
        return mac.digest()

    def derive(self, key_id: str, scope: str) -> bytes:
        """Return the 32-byte MAC key of `scope` (a host or a shared domain) under the key of that id.

        HMAC-SHA-256(secret, "consentkit/cookie/1" LF scope). Raises InvalidKey for an unknown id.
        """
        if (key := self.find(key_id)) is None:
            raise InvalidKey(f"there is no cookie key {key_id[:40]!r}")
        return hmac.digest(key.secret, b"consentkit/cookie/1\n" + scope.encode(), "sha256")

    def rotate_in(self, new: CookieKey) -> CookieKeys:
        """First phase: `new` verifies from now on; the present key still signs."""
        return CookieKeys((*self.keys, attrs.evolve(new, use="verify")))

    def sign_with(self, key_id: str) -> CookieKeys:
        """Second phase: the key of that id signs, all others verify. Raises InvalidKey for an unknown id."""
        return CookieKeys(
            tuple(attrs.evolve(key, use="sign" if key.key_id == key_id else "verify") for key in self.keys)
        )

    def without(self, key_id: str) -> CookieKeys:
        """Last phase: forget a key; what it authenticated becomes unreadable. The signing key stays."""
        return CookieKeys(tuple(key for key in self.keys if key.key_id != key_id))

    def to_json(self) -> bytes:
        """Return the ring as the JSON text of a `cookie.json`."""
        rows = [{"id": key.key_id, "use": key.use, "secret": _base64url(key.secret)} for key in self.keys]
        return json.dumps({"schema": _COOKIE_SCHEMA, "keys": rows}, indent=1).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> CookieKeys:
        """Read the text of a `cookie.json`. Raises InvalidKey when it is not one; never repeats a secret."""
        try:
            document = json.loads(data)
            rows = document["keys"] if document["schema"] == _COOKIE_SCHEMA else ()
            keys = tuple(CookieKey(row["id"], _secret(row["secret"]), row["use"]) for row in rows)
        except (ValueError, TypeError, KeyError, RecursionError):
            # no cause: a decoder's message quotes what it read, which is secret here
            raise InvalidKey(f"this is no {_COOKIE_SCHEMA} file") from None
        return cls(keys)


def _secret(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


@attrs.frozen
class Keys:
    """Everything that a site signs with, and the name of the log that the signatures belong to."""

    log_name: str = attrs.field(converter=check_log_name)
    log: Signer
    record: Signer
    cookie: CookieKeys

    @classmethod
    def generate(cls, log_name: str) -> Keys:
        """Return new random keys, kept nowhere. Raises InvalidKey for a name that no log can have."""
        return cls(
            log_name, Ed25519Signer.generate(), Ed25519Signer.generate(), CookieKeys((CookieKey.generate(),))
        )

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Keys:
        """Read the keys that `write_keys` wrote into `folder`.

        Raises InvalidKey that names the file and what to do; warns by logging when others can read a secret.
        """
        place = Path(folder)
        with _blamed(place / _LOG_NAME_TXT) as path:
            log_name = check_log_name(_read(path).decode("utf-8", "replace").strip())
        with _blamed(place / _LOG_PEM) as path:
            log = Ed25519Signer.from_pem(_read_secret(path))
        with _blamed(place / _RECORD_PEM) as path:
            record = Ed25519Signer.from_pem(_read_secret(path))
        with _blamed(place / _COOKIE) as path:
            cookie = CookieKeys.from_json(_read_secret(path))
        return cls(log_name, log, record, cookie)


@contextmanager
def _blamed(path: Path) -> Iterator[Path]:
    """Name the file in whatever goes wrong with it."""
    try:
        yield path
    except FileNotFoundError as error:
        raise InvalidKey(f"{path} is missing", remedy=_MAKE_KEYS) from error
    except OSError as error:
        raise InvalidKey(f"{path}: {error.strerror}", remedy="check its owner and mode") from error
    except InvalidKey as error:
        remedy = error.remedy or "restore the file from your backup of the keys"
        raise InvalidKey(f"{path}: {error.message}", remedy=remedy) from error


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(_MAX_FILE + 1)
    if len(data) > _MAX_FILE:
        raise InvalidKey("the file is too large to be a key")
    return data


def _read_secret(path: Path) -> bytes:
    data = _read(path)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        _log.warning("%s can be read by others (mode %04o): chmod 600 it", path, mode)
    return data


def write_keys(folder: str | os.PathLike[str], log_name: str, *, after: Keys | None = None) -> Keys:
    """Make new keys and write them into `folder`, with the trust file that auditors get.

    `after` are the keys of a log that this one carries on after: its record key and cookie secrets stay in use,
    the log key is new, and the trust file names both logs. Secrets have mode 0600 in a folder of mode 0700,
    whatever the umask; all is on disk when this returns. The trust file is C2SP's tlog-policy and demands no
    witness. Raises InvalidKey for a name that no log can have, for a record key that is not in memory, and, having
    changed nothing, when any of the files is already there.
    """
    log, record = Ed25519Signer.generate(), after.record if after else Ed25519Signer.generate()
    cookie = after.cookie if after else CookieKeys((CookieKey.generate(),))
    if not isinstance(record, Ed25519Signer):
        raise InvalidKey(
            "the record key is kept elsewhere and cannot be written", remedy="use Keys(...) directly"
        )
    if after is not None and after.log_name == log_name:
        raise InvalidKey(f"the log {log_name} has its keys", remedy="give the new log another name")
    keys, place = Keys(log_name, log, record, cookie), Path(folder)
    earlier = {after.log_name: after.log.public_key} if after else {}
    files = {
        _LOG_PEM: (0o600, log.to_pem()),
        _RECORD_PEM: (0o600, record.to_pem()),
        _COOKIE: (0o600, cookie.to_json()),
        _LOG_NAME_TXT: (0o644, f"{log_name}\n".encode()),
        _TRUST: (0o644, _trust_file({log_name: log.public_key} | earlier)),
    }
    if taken := [place / name for name in files if os.path.lexists(place / name)]:
        raise InvalidKey(f"{taken[0]} exists", remedy="choose another folder; keys are never overwritten")
    with _blamed(place):
        _make_private(place)
        _write_all(place, files)
    return keys


def _trust_file(logs: Mapping[str, bytes]) -> bytes:
    lines = [f"log {_vkey(name, public_key)}\n" for name, public_key in logs.items()]
    return "".join([*lines, "quorum none\n"]).encode()


def _vkey(name: str, public_key: bytes) -> str:
    """Return the verifier key of C2SP's signed-note for an Ed25519 log key."""
    typed = b"\x01" + public_key
    key_hash = hashlib.sha256(name.encode() + b"\n" + typed).hexdigest()[:8]
    return f"{name}+{key_hash}+{base64.b64encode(typed).decode()}"


def _make_private(folder: Path) -> None:
    """Create the folder, or take over an empty one; the mode of a folder in use is its owner's business."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir()
    except FileExistsError:
        if any(folder.iterdir()):
            return
    folder.chmod(0o700)
    _sync_folder(folder.parent)


def _write_all(folder: Path, files: Mapping[str, tuple[int, bytes]]) -> None:
    written: list[Path] = []
    try:
        for name, (mode, data) in files.items():
            _write_new(folder / name, mode, data, written)
        _sync_folder(folder)
    except BaseException:
        for path in written:  # half a set of keys would only stand in the way of the next attempt
            with suppress(OSError):
                path.unlink()
        raise


def _write_new(path: Path, mode: int, data: bytes, written: list[Path]) -> None:
    # 0600 from the first instant, so that nobody opens a secret before its mode is set
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    written.append(path)
    with open(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
