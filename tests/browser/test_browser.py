"""The browser that the other tests here rely on shows what they need of it."""

import pytest

from tests.find_browser import find

PAGE = "data:text/html,<title>off</title><script>document.title = navigator.globalPrivacyControl</script>"


def test_script_runs_only_when_javascript_is_on(visit) -> None:
    """A session without JavaScript leaves the page as it was served."""
    assert _title(visit(javascript=True)) == "undefined"
    assert _title(visit(javascript=False)) == "off"


def test_gpc_is_visible_to_script(visit) -> None:
    """A session with the signal tells the page's script so."""
    assert _title(visit(gpc=True)) == "true"


def test_a_named_browser_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """``CONSENTKIT_CHROMIUM`` decides, whatever is on PATH."""
    monkeypatch.setenv("CONSENTKIT_CHROMIUM", "/opt/elsewhere/chromium")
    assert str(find()) == "/opt/elsewhere/chromium"


def _title(context) -> str:
    page = context.new_page()
    page.goto(PAGE)
    return page.title()
