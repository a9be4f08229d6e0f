"""The parts of `MODEL_CARD.md` that are facts about a release: its training and its images.

They stand between markers, `<!-- training fast -->` … `<!-- end -->`, and are replaced at every export. What
people write around them stays.
"""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

from rdpcodec.errors import UsageError, reason
from rdpcodec.files.whole_files import replace_file
from rdpcodec.training.markdown import replace_block
from rdpcodec.weights.manifest import hours_by_device

CARD = "MODEL_CARD.md"


def write_blocks(path: Path, name: str, record: dict[str, Any], images: str) -> None:
    """Renew a release's blocks in the card at `path`. A missing card is created.

    name: of the model. record: its entry in the manifest. images: the `data_block` of its training images.
    """
    if not path.exists():
        replace_file(path, b"# Weights\n")
    replace_block(path, f"training {name}", training_block(record))
    replace_block(path, "data", images)


def renew_training(path: Path, name: str, record: dict[str, Any]) -> None:
    """Renew what the card at `path`, if there is one, says of a model's size and training."""
    if path.exists():
        replace_block(path, f"training {name}", training_block(record))


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
    """The images of a training folder by source and licence, from its `MANIFEST.tsv`.

    Its columns are `path width height source licence`. Without the file, returns a sentence that says so.
    Raises `UsageError` when the file holds something else.
    """
    manifest = folder / "MANIFEST.tsv"
    if not manifest.exists():
        return "The folder of training images had no MANIFEST.tsv: their sources were not recorded."
    images: Counter[tuple[str, str]] = Counter()
    pixels: Counter[tuple[str, str]] = Counter()
    try:
        with manifest.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                key = (row["source"].split("@")[0], row["licence"])
                images[key] += 1
                pixels[key] += int(row["width"]) * int(row["height"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{manifest}: does not say width, height, source and licence of each image: {reason(error)}"
        ) from error
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
