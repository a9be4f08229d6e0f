"""What the README says about presets."""

from __future__ import annotations

import re
from pathlib import Path

from rdpcodec import PRESETS

README = Path(__file__).parents[2] / "README.md"


def test_the_table_of_presets_says_what_they_are() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| (\d+) \| (\d|by image) \|", README.read_text("utf-8"), re.MULTILINE)
    listed = {name: (float(quality), realism) for name, quality, realism in rows}
    assert listed == {
        name: (point.quality, "by image" if point.realism == "auto" else f"{point.realism:g}")
        for name, point in PRESETS.items()
    }
