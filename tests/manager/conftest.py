"""Managers for tests, on one ledger of their own."""

import pytest

from consentkit.manager import ConsentManager
from tests.manager.test_manager import DOCUMENT, KEYS


@pytest.fixture
def ledger(tmp_path):
    return f"sqlite:///{tmp_path / 'consent.db'}"


@pytest.fixture
def open_manager(ledger, clock):
    opened = []

    def start(policy=DOCUMENT, **options):
        options = {"ledger": ledger, "keys": KEYS, "region": lambda request: "FR", "clock": clock} | options
        opened.append(ConsentManager.open(policy, **options))
        return opened[-1]

    yield start
    for manager in opened:
        manager.close()
