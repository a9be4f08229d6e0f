"""The API pages name only what exists."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

API = Path(__file__).parents[2] / "docs" / "api"
ENTRY = re.compile(r"^::: (\S+)\n(?: +options:\n(?: +members: \[(.*)\]\n)?)?", re.MULTILINE)
# A module that needs CompressAI, and an alias that only type checkers see.
ELSEWHERE = ("rdpcodec.compressai_model", "rdpcodec.image.Source")
ENTRIES = [
    (name, members)
    for page in sorted(API.glob("*.md"))
    for name, members in ENTRY.findall(page.read_text(encoding="utf-8"))
    if name not in ELSEWHERE
]


def found(name: str) -> Any:
    """A module, or what a module holds."""
    try:
        return import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        return getattr(import_module(module), attribute)


@pytest.mark.parametrize(("name", "members"), ENTRIES)
def test_an_entry_of_an_api_page_exists_and_says_what_it_is(name: str, members: str) -> None:
    """`mkdocs` silently leaves out what it does not find."""
    entry = found(name)
    for member in filter(None, members.split(", ")):
        part = getattr(entry, member)
        assert part.__module__ == entry.__name__, f"{member} is at home in {part.__module__}"
        assert part.__doc__
