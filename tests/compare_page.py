"""Runs of `rdpcodec compare`, and the data inside its page."""

from __future__ import annotations

import json
import re
from typing import Any

from click.testing import CliRunner, Result

from rdpcodec.cli import rdpcodec as command


def run(*words: object) -> Result:
    return CliRunner().invoke(command, ["compare", *map(str, words)])


def embedded(page: str) -> dict[str, Any]:
    """The data inside a page."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])
