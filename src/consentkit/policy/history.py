"""Every policy that was ever in force, and which of the consents given under them still hold."""

from __future__ import annotations

import attrs

from consentkit.policy.canonical import short_digest
from consentkit.policy.diff import diff
from consentkit.policy.model import Policy

__all__ = ["PolicyHistory"]


@attrs.frozen
class PolicyHistory:
    """The policy in force and those before it; what each earlier one still covers is computed once, here."""

    current: Policy
    earlier: tuple[Policy, ...] = ()
    _found: dict[str, Policy] = attrs.field(init=False, repr=False, eq=False)
    _covered: dict[str, frozenset[str]] = attrs.field(init=False, repr=False, eq=False)

    @_found.default
    def _by_digest(self) -> dict[str, Policy]:
        every = {policy.digest: policy for policy in (*self.earlier, self.current)}
        shorts = [short_digest(digest) for digest in every]
        # Two policies with one short form (one chance in 2**48) would make a cookie ambiguous: neither answers.
        return every | {
            short: policy
            for short, policy in zip(shorts, every.values(), strict=True)
            if shorts.count(short) == 1
        }

    @_covered.default
    def _coverage(self) -> dict[str, frozenset[str]]:
        past = {policy.digest: diff(policy, self.current).covered for policy in self.earlier}
        return past | {self.current.digest: self.current.names}

    def find(self, digest: str) -> Policy | None:
        """Return the policy with this full or short digest (`short_digest`), or None if it was never in force."""
        return self._found.get(digest)

    def covers(self, digest: str, name: str) -> bool:
        """Say whether a grant of `name`, a category or service, made under that policy (full digest) still holds."""
        return name in self._covered.get(digest, ())
