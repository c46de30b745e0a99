"""A headless Chromium for the tests that see what a person sees."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no Chromium here: install Debian's package chromium to run the browser tests"
)

# It asks nothing of the internet by itself, so that a test can tell whether our pages do.
QUIET = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
    "--disable-gpu",
]


def enter(page: Page, url: str, name: str) -> Page:
    """Log in at a hub of several people as a person does: from the first page, by the provider's form."""
    page.goto(f"{url}/")
    page.locator("a.button").click()
    page.fill("input[name=sub]", name)
    page.locator("button[type=submit]").first.click()
    page.wait_for_load_state()
    return page


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser; as root it cannot have its sandbox."""
    with sync_playwright() as playwright:
        arguments = [*QUIET, "--no-sandbox"] if os.geteuid() == 0 else QUIET
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            yield browser
        finally:
            browser.close()
