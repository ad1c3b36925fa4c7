"""What a visitor sees: the notice, the live banner made from it, and consentkit's own pages.

Fair by construction: accepting and refusing are the same kind of control in the same place, nothing is ticked that
the visitor does not already allow, and no option says otherwise.
"""

from __future__ import annotations

from consentkit.banner.assets import Asset, asset, script, style
from consentkit.banner.catalogue import Catalogue, catalogue, catalogue_languages
from consentkit.banner.check import check
from consentkit.banner.notice import (
    TEMPLATE,
    Notice,
    notice_for,
    render_banner,
    render_control,
    render_script,
)
from consentkit.banner.pages import declaration_page, error_page, preferences_page
from consentkit.banner.urls import Urls

__all__ = [
    "TEMPLATE",
    "Asset",
    "Catalogue",
    "Notice",
    "Urls",
    "asset",
    "catalogue",
    "catalogue_languages",
    "check",
    "declaration_page",
    "error_page",
    "notice_for",
    "preferences_page",
    "render_banner",
    "render_control",
    "render_script",
    "script",
    "style",
]
