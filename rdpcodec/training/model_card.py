"""The parts of `MODEL_CARD.md` that are facts about a release: its training and its images.

They stand between markers, `<!-- training fast -->` … `<!-- end -->`, and are replaced at every export; what
people write around them stays.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path
from typing import Any

from rdpcodec.weights.manifest import hours_by_device

CARD = "MODEL_CARD.md"


def replace_block(path: Path, name: str, content: str) -> None:
    """Replace what stands between `<!-- name -->` and the next `<!-- end -->` in a Markdown file.

    A block that the file lacks is appended, a missing file is begun.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else "# Released weights\n"
    block = f"<!-- {name} -->\n{content.strip()}\n<!-- end -->"
    pattern = re.compile(rf"<!-- {re.escape(name)} -->.*?<!-- end -->", re.DOTALL)
    text, found = pattern.subn(lambda _: block, text, count=1)
    path.write_text(text if found else f"{text.rstrip()}\n\n{block}\n", encoding="utf-8")


def training_block(record: dict[str, Any]) -> str:
    """A release's manifest record → its sizes, and how much training is behind it."""
    parts = [("fidelity", record["parameters"], record["training"])]
    if "realism" in record:
        parts.append(("realism", record["realism"]["parameters"], record["realism"]["training"]))
    lines = [
        f"{record['bytes'] / 1e6:.2f} MB as {record['dtype']}.",
        "",
        "| part | parameters, millions | training | gigapixels of crops | runs |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {name} | {parameters / 1e6:.2f} | {hours_by_device(training)} | {training['gigapixels']:.1f} "
        f"| {training['runs']} |"
        for name, parameters, training in parts
    ]
    return "\n".join(lines)


def data_block(folder: Path) -> str:
    """The images of a training folder by source and licence, from its `MANIFEST.tsv`
    (`path width height source licence`); a sentence that says so where it has none.
    """
    manifest = folder / "MANIFEST.tsv"
    if not manifest.exists():
        return "The folder of training images had no MANIFEST.tsv: their sources were not recorded."
    images: Counter[tuple[str, str]] = Counter()
    pixels: Counter[tuple[str, str]] = Counter()
    with manifest.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            key = (row["source"].split("@")[0], row["licence"])
            images[key] += 1
            pixels[key] += int(row["width"]) * int(row["height"])
    lines = [
        f"{images.total()} photographs, {pixels.total() / 1e6:.0f} megapixels. "
        "Licences as stated by each source.",
        "",
        "| source | images | megapixels | licence |",
        "| --- | --- | --- | --- |",
    ]
    for (source, licence), count in sorted(pixels.items(), key=lambda item: -item[1]):
        lines.append(f"| {source} | {images[source, licence]} | {count / 1e6:.1f} | {licence} |")
    return "\n".join(lines)
