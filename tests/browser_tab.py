"""An installed browser, and a tab that fails if it loads anything from elsewhere or reports an error."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_OWN = ("file:", "data:", "blob:", "http://127.0.0.1:")


def chromium() -> str | None:
    """An installed Chromium or Chrome."""
    names = (
        "chromium",
        "chromium-browser",
        "google-chrome",
        "google-chrome-stable",
        "chromium-headless-shell",
    )
    return next((path for path in map(shutil.which, names) if path), None)


@contextmanager
def strict_tab(browser: Any) -> Iterator[Any]:
    """Open a tab, and close it at the end. Fails at the end if anything went wrong in between."""
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    wrong: list[str] = []
    tab.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("request", lambda request: None if request.url.startswith(_OWN) else wrong.append(request.url))
    yield tab
    assert wrong == []
    tab.close()
