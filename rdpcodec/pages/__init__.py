"""Pages for a browser: a comparison in one file, and the page that `rdpcodec serve` serves.

Each has a template, a style and a script of its own beside this file. `base` is what all pages share, the
bench's report included; `viewer` is the wipe between two images; `embedded` is the decoder for browsers in a
page of one file. `compare` and `serve` are the content.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def assembled(page: Path, data: Any, *shared: str) -> str:
    """A page that loads nothing: PAGE.html with styles, scripts and data in place of its marks.

    page: path without extension; shared: names of styles and scripts here, which come before the page's own;
    data: what `json` takes, finite numbers only.
    """
    parts = [*(FOLDER / name for name in shared), page]
    marks = {}
    for kind, suffix in (("style", ".css"), ("script", ".js")):
        files = [part.with_suffix(suffix) for part in parts if part.with_suffix(suffix).exists()]
        marks[f"/*{kind}*/"] = "".join(file.read_text(encoding="utf-8") for file in files)
    embedded = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    # Within a script element, only "<" could end the element or start a comment.
    marks["/*data*/"] = embedded.replace("<", "\\u003c")
    text = page.with_suffix(".html").read_text(encoding="utf-8")
    for mark, part in marks.items():
        before, after = text.split(mark)
        text = before + part + after
    return text
