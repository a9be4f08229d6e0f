"""Blocks of Markdown files that a command writes, between text that people write."""

from __future__ import annotations

import re
from pathlib import Path

from rdpcodec.files.whole_files import replace_file


def replace_block(path: Path, name: str, content: str) -> None:
    """Replace what stands between `<!-- name -->` and the next `<!-- end -->` in a Markdown file.

    A missing block is appended, and a missing file is created.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    block = f"<!-- {name} -->\n{content.strip()}\n<!-- end -->"
    pattern = re.compile(rf"<!-- {re.escape(name)} -->.*?<!-- end -->", re.DOTALL)
    text, found = pattern.subn(lambda _: block, text, count=1)
    replace_file(path, (text if found else f"{text.rstrip()}\n\n{block}\n".lstrip()).encode())
