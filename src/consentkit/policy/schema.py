"""The form of a policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def check(document: Mapping[str, Any]) -> None:
    """Check the document."""
