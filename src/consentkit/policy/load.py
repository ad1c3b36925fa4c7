"""From bytes to a JSON document."""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path
from typing import Any


def read(path: str | PathLike[str]) -> bytes:
    """Read a policy file."""
    return Path(path).read_bytes()


def parse(data: bytes) -> dict[str, Any]:
    """Parse JSON."""
    result: dict[str, Any] = json.loads(data)
    return result
