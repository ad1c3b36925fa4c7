"""One real Chromium for the browser tests, which run in a pytest process of their own.

Playwright's sync API keeps an event loop running in its thread, so ``asyncio.run`` fails in any test after it.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from tests.browser.banner_site import Site
from tests.find_browser import find, launch_flags

Visit = Callable[..., BrowserContext]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    path = find()
    if path is None:
        pytest.skip("no Chromium on this machine: `python tests/find_browser.py` installs one")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=launch_flags())
        yield running
        running.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Open visitors' sessions: ``visit(javascript=True, gpc=False, language="en", **context_options)``.

    Each has its own cookies. With ``gpc`` the header is sent and ``navigator.globalPrivacyControl`` is true,
    which Chromium does not offer by itself.
    """
    contexts: list[BrowserContext] = []

    def open_context(
        *, javascript: bool = True, gpc: bool = False, language: str = "en", **options: Any
    ) -> BrowserContext:
        headers = {**options.pop("extra_http_headers", {}), **({"Sec-GPC": "1"} if gpc else {})}
        context = browser.new_context(
            java_script_enabled=javascript, locale=language, extra_http_headers=headers, **options
        )
        contexts.append(context)
        if gpc:
            context.add_init_script("Object.defineProperty(navigator, 'globalPrivacyControl', {value: true})")
        return context

    yield open_context
    for context in contexts:
        context.close()


@pytest.fixture
def banner_site() -> Iterator[Callable[..., Site]]:
    """Start one-page sites with the banner on them; ``banner_site("FR", language="fr")`` returns a ``Site``."""
    sites: list[Site] = []

    def start(*arguments: Any, **options: Any) -> Site:
        sites.append(Site(*arguments, **options))
        return sites[-1]

    yield start
    for site in sites:
        site.close()
