"""Every error that consentkit raises: one small tree, each error with its data and its remedy."""

from __future__ import annotations

__all__ = [
    "ConsentkitError",
    "InvalidKey",
    "InvalidLog",
    "InvalidNote",
    "InvalidProof",
    "InvalidTile",
    "InvalidTrust",
]


class ConsentkitError(Exception):
    """Root of every error that consentkit raises.

    `message` says what is wrong, without a final full stop; `remedy` says what to do about it (may be empty).
    Subclasses keep further data as attributes and give their keywords defaults, so that an error survives the
    way back from another process.
    """

    message: str
    remedy: str

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} ({self.remedy})" if self.remedy else self.message


class InvalidKey(ConsentkitError):
    """A key file or a public key that cannot be used."""


class InvalidLog(ConsentkitError):
    """Something about a transparency log does not hold; its subclasses say what."""


class InvalidNote(InvalidLog):
    """A signed note or a checkpoint is malformed, or a signature on it is missing or wrong."""


class InvalidProof(InvalidLog):
    """An inclusion or consistency proof is malformed or does not lead to the expected root."""


class InvalidTile(InvalidLog):
    """A tile or an entry bundle is missing, malformed, or not part of the signed tree.

    `path` is its path in the log, such as `tile/0/x001/234`.
    """

    path: str

    def __init__(self, message: str, *, path: str = "", remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.path = path


class InvalidTrust(InvalidLog):
    """A trust policy file cannot be used. `line` counts from 1; 0 stands for the file as a whole."""

    line: int

    def __init__(self, message: str, *, line: int = 0, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.line = line
