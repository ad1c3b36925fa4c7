"""Policies and notices: every one that the log published is in the pack, byte for byte."""

from __future__ import annotations

import json
from hashlib import sha256

from consentkit.audit.pack import Pack, notice_path, policy_path
from consentkit.audit.state import Facts

__all__ = ["check_notices", "check_policies"]


def check_policies(pack: Pack, facts: Facts) -> None:
    """Check the file of every policy against its digest, and its version against its entry."""
    for digest, (index, version) in facts.policies.items():
        path = policy_path(digest)
        data = pack.fetch("policy", path, missing="policy-missing", index=index)
        if data is None:
            continue
        if sha256(data).hexdigest() != digest:
            pack.findings.add("policy-mismatch", f"{path} has another digest than its name", path, index)
        elif (stated := _version(data)) is None:
            pack.findings.add("policy-malformed", f"{path} is no policy", path, index)
        elif stated != version:
            message = f"{path} is version {stated!r}, and its entry says {version!r}"
            pack.findings.add("policy-version", message, path, index)


def _version(data: bytes) -> str | None:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    version = document.get("version") if isinstance(document, dict) else None
    return version if isinstance(version, str) else None


def check_notices(pack: Pack, facts: Facts) -> None:
    """Check the file of every notice against its digest. Nothing in it is looked at, let alone run."""
    for digest, index in facts.notices.items():
        path = notice_path(digest)
        data = pack.fetch("notice", path, missing="notice-missing", index=index)
        if data is not None and sha256(data).hexdigest() != digest:
            pack.findings.add("notice-mismatch", f"{path} has another digest than its name", path, index)
