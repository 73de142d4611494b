"""A browser without a screen, for tests and for pictures of pages."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from typing import Any

#: Commands that start one, the first that is there counts.
NAMES = ("chromium", "chromium-browser", "google-chrome")
# Containers have no user namespaces for its sandbox, and little /dev/shm.
_ARGUMENTS = ("--no-sandbox", "--disable-dev-shm-usage")


def place() -> str | None:
    """Path of the browser's command; None if there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextlib.contextmanager
def opened() -> Iterator[Any]:
    """The browser, as Playwright has it.

    Raises:
      OSError: There is none.
    """
    from playwright.sync_api import sync_playwright

    if place() is None:
        raise OSError(f"no browser on PATH: {', '.join(NAMES)} (apt: chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=place(), args=list(_ARGUMENTS)
        )
        yield browser
        browser.close()
