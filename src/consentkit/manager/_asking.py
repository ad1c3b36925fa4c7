"""What the site's own callables say of a request: where its visitor is, and which language to speak."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from consentkit.policy.regions import canonical_region, describe_region_error
from consentkit.web.language import language_of
from consentkit.web.request import Request

__all__ = ["Asking"]

_log = logging.getLogger("consentkit.manager")

Ask = Callable[[Request], str | None]

_SUBDIVISION: Final = re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}")
_TOLD: Final = 64


class Asking:
    """Asks the site's callables, so that no visitor sees one fail, and tells the log once of each wrong answer."""

    def __init__(self, region: Ask | None, language: Ask | None, languages: Sequence[str]) -> None:
        self._region, self._language, self._languages = region, language, tuple(languages)
        self._told: set[str] = set()

    def region(self, request: Request) -> str | None:
        """Tell where the visitor is, as ISO 3166 writes it; None, and so the fallback, when nothing says."""
        found = _ask(self._region, request)
        if not found:
            return None
        region, right = (
            _read(found) if isinstance(found, str) else (None, "a text such as FR or US-CA, or None")
        )
        if right is not None:
            self._tell("region", found, f"so the policy's fallback holds; it should give {right}")
        return region

    def language(self, request: Request) -> str:
        """Choose one of the policy's languages for a request."""
        found = _ask(self._language, request)
        if isinstance(found, str) and found in self._languages:
            return found
        if found is not None:
            known = ", ".join(self._languages)
            self._tell("language", found, f"so the browser's languages decide; the policy has {known}")
        return language_of(request, self._languages)

    def _tell(self, what: str, found: object, then: str) -> None:
        text = f"the {what} callable gave {found!r:.80}, which is no {what} here, {then}"
        if text not in self._told and len(self._told) < _TOLD:
            self._told.add(text)
            _log.warning("%s", text)


@lru_cache(maxsize=1024)
def _read(text: str) -> tuple[str | None, str | None]:
    """Give the region that a text names, and what would be right where it names none."""
    region = canonical_region(text)
    right = describe_region_error(region)
    if right is None:
        return region, None
    # A subdivision that is not known here is still in its country.
    country = region.partition("-")[0]
    known = _SUBDIVISION.fullmatch(region) and describe_region_error(country) is None
    return (region, None) if known else (None, right)


def _ask(callable_: Ask | None, request: Request) -> object:
    """Call what the site gave us, which may give anything; a visitor must not see it fail."""
    if callable_ is None:
        return None
    try:
        return callable_(request)
    except Exception:  # noqa: BLE001
        _log.exception("%r failed; consentkit goes on without its answer", callable_)
        return None
