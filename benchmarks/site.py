"""The site that is measured: nine cookies in three categories, a manager on SQLite, a visitor who accepted."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from consentkit import ConsentManager, Policy
from consentkit.keys import Keys, write_keys

LOG_NAME = "blog.example/consent"
CATEGORIES = {"preferences": "theme", "analytics": "visitor", "marketing": "ad"}
PROVIDER = {"name": "The Example Blog", "country": "FR"}


def _service(category: str, cookie: str) -> dict[str, Any]:
    cookies = [{"name": f"{cookie}_{number}", "lifetime": "6 months"} for number in range(3)]
    return {
        "category": category,
        "provider": PROVIDER,
        "purposes": {"purpose": "Being measured"},
        "cookies": cookies,
    }


DOCUMENT: dict[str, Any] = {
    "schema": "consentkit-policy/1",
    "version": "1",
    "controller": PROVIDER
    | {"contact": "privacy@blog.example", "privacy_policy": "https://blog.example/privacy"},
    "languages": ["en"],
    "categories": {category: {} for category in CATEGORIES},
    "services": {f"{category}_tool": _service(category, cookie) for category, cookie in CATEGORIES.items()},
    "regimes": {
        "europe": {
            "regions": ["EEA"],
            "model": "opt-in",
            "consent_lifetime": "6 months",
            "refusal_lifetime": "6 months",
            "signals": {"gpc": ["marketing"]},
        }
    },
    "fallback": {"regime": "europe"},
    "notice": {"layout": "bar"},
    "records": {"retention": "5 years"},
    "enforcement": {"undeclared": "report", "csp": "off"},
}

POLICY = Policy.from_dict(DOCUMENT)


@contextmanager
def folder() -> Iterator[Path]:
    """A temporary folder with ``keys/`` in it."""
    with tempfile.TemporaryDirectory(prefix="consentkit-bench-") as name:
        path = Path(name)
        write_keys(path / "keys", LOG_NAME)
        yield path


@contextmanager
def site(keys: Keys | None = None, **options: Any) -> Iterator[ConsentManager]:
    """A manager for the site, its ledger in a temporary folder."""
    with (
        tempfile.TemporaryDirectory(prefix="consentkit-bench-") as path,
        ConsentManager.open(
            POLICY, ledger=f"sqlite:///{path}/consent.db", keys=keys or Keys.generate(LOG_NAME), **options
        ) as manager,
    ):
        yield manager
