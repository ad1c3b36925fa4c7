"""Where the banner's links, forms and files lead, on the host that the page is on."""

from __future__ import annotations

from typing import Self

import attrs

from consentkit.banner.assets import script, style
from consentkit.consent.cookie import CONSENT_NAMES, REFUSAL_LIFETIME, UNSIGNED_REFUSAL

__all__ = ["Urls"]


@attrs.frozen(kw_only=True)
class Urls:
    """The addresses that a banner needs, as paths on the same host.

    `cookie` is the name of the consent cookie on this host and `unsigned_refusal` what the script puts into
    `document.cookie` when it cannot reach the server.
    """

    decision: str
    preferences: str
    declaration: str
    receipt: str
    style: str
    script: str
    home: str
    cookie: str
    unsigned_refusal: str

    @classmethod
    def under(
        cls, prefix: str, *, home: str = "/", cookie: str = CONSENT_NAMES[0], domain: str | None = None
    ) -> Self:
        """Derive everything from the path that the endpoints live under, the mount point included.

        `cookie` is one of `CONSENT_NAMES`; `domain` the shared domain that goes with `__Secure-consent`.
        """
        attributes = [f"{cookie}={UNSIGNED_REFUSAL}", "Path=/", f"Max-Age={REFUSAL_LIFETIME}", "SameSite=Lax"]
        attributes += [f"Domain={domain}"] if domain else []
        attributes += ["Secure"] if cookie.startswith("__") else []
        return cls(
            decision=f"{prefix}/decision",
            preferences=prefix,
            declaration=f"{prefix}/cookies",
            receipt=f"{prefix}/receipt",
            style=f"{prefix}/assets/{style().name}",
            script=f"{prefix}/assets/{script().name}",
            home=home,
            cookie=cookie,
            unsigned_refusal="; ".join(attributes),
        )
