"""Find a Chromium for the browser tests, or install one: ``python tests/find_browser.py`` says what it did.

In order: ``CONSENTKIT_CHROMIUM``; a Chromium or Chrome on PATH; one that Playwright brought; and only when run as
a program, Debian's ``chromium`` (as root) or Playwright's own build.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


def find() -> Path | None:
    """Return the browser that the tests should drive, or None when there is none."""
    if named := os.environ.get("CONSENTKIT_CHROMIUM"):
        return Path(named)
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    return Path(found) if found else _playwrights_own()


def launch_flags() -> list[str]:
    """Return the command-line flags that keep a test browser quiet; Chromium refuses its sandbox to root."""
    return [*FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]


def _playwrights_own() -> Path | None:
    with sync_playwright() as playwright:
        path = Path(playwright.chromium.executable_path)
    return path if path.exists() else None


def _install() -> str:
    """Install a browser the way that this machine allows, and say which way that was."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {"env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, "stdout": subprocess.DEVNULL}
        subprocess.run(["apt-get", "update"], check=True, **quiet)
        subprocess.run(
            ["apt-get", "install", "-y", "--no-install-recommends", "chromium"], check=True, **quiet
        )
        return "installed Debian's chromium with apt-get"
    subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=True)
    return "installed Playwright's own chromium"


def main() -> int:
    """Make sure that there is a browser; print where it is and how it came there."""
    how = "found"
    if find() is None:
        how = _install()
    path = find()
    if path is None or not path.exists():
        print(f"browser tests: no Chromium at {path}: set CONSENTKIT_CHROMIUM to one", file=sys.stderr)
        return 1
    print(f"browser tests: {how}: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
