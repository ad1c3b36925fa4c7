"""One cold start, timed from outside: open a manager and answer a first request; ``python -m benchmarks.cold DIR``."""

import sys
from collections.abc import Callable, Iterable
from typing import Any

from consentkit import ConsentManager
from consentkit.adapters.wsgi import ConsentMiddleware, consent_from


def app(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Ask, and answer with a page."""
    allowed = consent_from(environ).allows("analytics")
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [b"<html><body>", b"counted" if allowed else b"not counted", b"</body></html>"]


def main(folder: str, database: str) -> None:
    """Start with the policy and keys in ``folder``, on a database that is not there yet."""
    from benchmarks.drive import environ, start_response

    policy, ledger = f"{folder}/policy.json", f"sqlite:///{folder}/{database}"
    with ConsentManager.open(policy, ledger=ledger, keys=f"{folder}/keys") as manager:
        body = b"".join(ConsentMiddleware(app, manager)(environ(), start_response))
    if b"not counted" not in body or b"/consent" not in body:
        raise RuntimeError(f"this is not the page with the banner: {body!r}")


if __name__ == "__main__":
    main(*sys.argv[1:])
