"""The URL of a ledger on PostgreSQL: libpq's, with one parameter more that names the ledger."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import psycopg
from psycopg.conninfo import conninfo_to_dict

from consentkit.errors import LedgerUnavailable

__all__ = ["Address", "beside"]

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,47}")
_DEFAULT_NAME: Final = "consentkit"
_REMEDY: Final = "write it like postgresql://user@host/database?ledger=name"
# A peer that has gone without a word is noticed in half a minute; the URL may say otherwise.
_DEFAULTS: Final = {
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
}


class Address(NamedTuple):
    """Where a ledger is: its name, and the parameters of a connection to its database."""

    name: str
    parameters: dict[str, str]

    @classmethod
    def parse(cls, url: str) -> Address:
        """Take a ledger's URL apart. Raises LedgerUnavailable for one that cannot be read."""
        base, _, query = url.partition("?")
        pairs = [pair for pair in query.split("&") if pair]
        names = [pair.partition("=")[2] for pair in pairs if pair.startswith("ledger=")] or [_DEFAULT_NAME]
        rest = "&".join(pair for pair in pairs if not pair.startswith("ledger="))
        if len(names) > 1 or not _NAME.fullmatch(names[0]) or names[0].startswith("pg_"):
            raise LedgerUnavailable(
                "the URL gives the ledger a name that it cannot have",
                remedy="a letter, then at most 47 of a-z, 0-9 and _, such as ledger=shop_2027",
            )
        try:
            given = conninfo_to_dict(f"{base}?{rest}")
        except psycopg.Error:  # its text holds parts of the URL
            raise LedgerUnavailable("the URL of the ledger cannot be read", remedy=_REMEDY) from None
        parameters = _DEFAULTS | {key: str(value) for key, value in given.items() if value is not None}
        return cls(
            names[0], parameters | {"client_encoding": "UTF8", "application_name": f"consentkit {names[0]}"}
        )


def beside(url: str, name: str) -> str:
    """Return the URL of the ledger `name` beside that of `url`, without a password."""
    base, _, query = url.partition("?")
    scheme, _, rest = base.partition("://")
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    kept = [pair for pair in query.split("&") if pair and not pair.startswith(("ledger=", "password="))]
    return f"{scheme}://{user.partition(':')[0]}{at}{host}{slash}{path}?{'&'.join([*kept, f'ledger={name}'])}"
