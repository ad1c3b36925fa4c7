"""Every error that consentkit raises: one small tree, each error with its data and its remedy."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

import attrs

__all__ = [
    "BadRequest",
    "ConsentRequired",
    "ConsentkitError",
    "InvalidKey",
    "InvalidLog",
    "InvalidNote",
    "InvalidOption",
    "InvalidProof",
    "InvalidReceipt",
    "InvalidRecord",
    "InvalidTile",
    "InvalidTrust",
    "KeyReused",
    "LedgerBusy",
    "LedgerClosed",
    "LedgerConflict",
    "LedgerCorrupt",
    "LedgerError",
    "LedgerMissing",
    "LedgerRolledBack",
    "LedgerUnavailable",
    "MissingMiddleware",
    "NotRecorded",
    "OutcomeUnknown",
    "PolicyError",
    "Problem",
    "UnknownLanguage",
    "UnknownName",
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


@attrs.frozen
class Problem:
    """One thing that is wrong with a policy: where (JSON pointer, RFC 6901), what, and what would be right.

    `value` is the offending value, None where there is none to show; `str()` tells it in one line.
    """

    pointer: str
    value: object = attrs.field(hash=False)
    message: str
    expected: str = ""

    def __str__(self) -> str:
        found = "" if self.value is None else f", found {_shown(self.value)}"
        expected = f"; expected {self.expected}" if self.expected else ""
        place = json.dumps(self.pointer, ensure_ascii=False)[1:-1]  # a name may hold a line feed
        return f"{place or 'document'}: {self.message}{found}{expected}"


class PolicyError(ConsentkitError):
    """A policy that cannot be used. `problems` holds everything that is wrong with it, in document order."""

    problems: tuple[Problem, ...]

    def __init__(self, problems: Sequence[Problem], *, remedy: str = "") -> None:
        count = f"{len(problems)} problem{'' if len(problems) == 1 else 's'}"
        super().__init__(f"the policy has {count}", remedy=remedy)
        self.problems = tuple(problems)
        Exception.__init__(self, self.problems)

    def __str__(self) -> str:
        return "\n".join([f"{super().__str__()}:", *map(str, self.problems)])


class UnknownName(ConsentkitError, LookupError):
    """A category or service that the policy does not declare: a mistake in the program, not in a request.

    `name` is what was asked for, `known` what there is, sorted.
    """

    name: str
    known: tuple[str, ...]

    def __init__(self, name: str, known: Iterable[str] = (), *, kind: str = "category or service") -> None:
        self.name = name
        self.known = tuple(sorted(known))
        near = get_close_matches(name, self.known, n=1)
        there = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(self.known) or 'none'}"
        super().__init__(f"the policy has no {kind} called {name!r}", remedy=there)
        Exception.__init__(self, name, self.known)


class UnknownLanguage(ConsentkitError, LookupError):
    """A language that the banner has no texts in. `language` is its BCP 47 tag, `known` those there are, sorted."""

    language: str
    known: tuple[str, ...]

    def __init__(self, language: str, known: Iterable[str] = ()) -> None:
        self.language = language
        self.known = tuple(sorted(known))
        super().__init__(
            f"there are no texts in {language!r}", remedy=f"there are: {', '.join(self.known) or 'none'}"
        )
        Exception.__init__(self, language, self.known)


def _shown(value: object) -> str:
    """Return `value` as JSON, cut to a length that fits a line."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 72 else f"{text[:69]}..."


class ConsentRequired(ConsentkitError):
    """Something was done that the visitor does not allow. `name` says what, `reason` why it is denied."""

    name: str
    reason: str

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"the visitor does not allow {name!r}: {reason}",
            remedy="ask Consent.allows first, or leave out what needs consent",
        )
        self.name = name
        self.reason = reason
        Exception.__init__(self, name, reason)


class NotRecorded(ConsentkitError):
    """A decision could not be recorded, so what it granted did not take effect."""


class InvalidOption(ConsentkitError):
    """An option that the site's developer gave cannot work."""


class MissingMiddleware(ConsentkitError):
    """Consent was asked for where no middleware of consentkit has seen the request."""


class BadRequest(ConsentkitError):
    """A request that is refused. `status` is the HTTP status code of the answer (RFC 9110 section 15.5)."""

    status: int

    def __init__(self, message: str, *, status: int = 400, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.status = status


class InvalidRecord(ConsentkitError):
    """A record, an entry's opening or a disclosure is malformed, or a signature or digest does not fit."""


class InvalidReceipt(ConsentkitError):
    """A receipt is malformed, or something that it claims does not hold."""


class LedgerError(ConsentkitError):
    """The ledger did not do what it was asked."""


class LedgerBusy(LedgerError):
    """Too many decisions at once. Nothing was written; try again after `wait` seconds."""

    def __init__(self, message: str, *, remedy: str = "", wait: float = 2.0) -> None:
        super().__init__(message, remedy=remedy)
        self.wait = wait


class LedgerClosed(LedgerError):
    """The ledger was closed. Nothing was written."""


class LedgerConflict(LedgerError):
    """Other writers kept moving the ledger on while something was being appended. Nothing was written."""


class KeyReused(LedgerError):
    """An idempotency key came again with another request. Nothing was written."""


class LedgerCorrupt(LedgerError):
    """What the store holds is not what the log key signed."""


class LedgerRolledBack(LedgerCorrupt):
    """The store holds less than, or other than, what the log has shown elsewhere: an old backup was restored."""


class LedgerUnavailable(LedgerError):
    """The store cannot be used; unless the message says otherwise, nothing was written."""


class LedgerMissing(LedgerUnavailable):
    """There is no ledger at the URL that was given."""


class SpoolUnavailable(LedgerUnavailable):
    """The spool, where refusals wait for the ledger, cannot be read or written."""


class OutcomeUnknown(LedgerUnavailable):
    """The store failed while writing, and whether it wrote could not be found out.

    `attempted` is what may be there: the index and the line of the entry that would be this record's.
    """

    def __init__(self, message: str, *, remedy: str = "", attempted: tuple[int, bytes] | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.attempted = attempted
