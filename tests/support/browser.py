"""A headless Chromium for the tests of the report page.

The distribution's own is driven through Playwright: unlike Selenium it needs no second program of the
browser's very version, and it tells console errors, page errors and requests apart without extensions.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium() -> str:
    """Path of a Chromium. Installs Debian's where that can be done, and says so; else fails the test."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        print("no Chromium found: installing the package chromium with apt-get", flush=True)
        unasked = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in ("update", "install -y --no-install-recommends chromium"):
            subprocess.run(["apt-get", "-qq", *command.split()], check=True, env=unasked)
        found = shutil.which("chromium")
    if found is None:
        pytest.fail("the report page is tested in Chromium: install the package chromium, then run again")
    return found


@contextmanager
def browser() -> Iterator[Browser]:
    """A running headless Chromium."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium(), args=list(QUIET))
        try:
            yield running
        finally:
            running.close()
