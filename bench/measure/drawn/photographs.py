"""What the tools for drawings cost photographs: no bytes, if none of their pixels is exact, and some time."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from PIL import Image
from rich.table import Table

from bench.timing import seconds
from rdpcodec import Codec
from rdpcodec.encoder.exact.detector import is_worth_a_look
from rdpcodec.format.container import Segment, read

# At the second quality, the codec looks for rough blocks, too.
QUALITIES = (50, 90)
REPEATS = 3


def photographs(codec: Codec, folders: dict[str, dict[str, Image.Image]]) -> dict[str, list[dict[str, Any]]]:
    """For each folder and quality: the images with exact pixels, and the total seconds of looking and of
    encoding, with the best of `REPEATS` for each image.
    """
    return {name: [_at(codec, images, q) for q in QUALITIES] for name, images in folders.items()}


def _at(codec: Codec, images: dict[str, Image.Image], quality: float) -> dict[str, Any]:
    exact, looking, encoding = [], 0.0, 0.0
    for name, image in images.items():
        pixels = np.asarray(image)
        if Segment.EXACT in read(codec.compress(image, quality)).segments:
            exact.append(name)
        looking += seconds(partial(is_worth_a_look, pixels, quality), REPEATS)
        encoding += seconds(partial(codec.compress, image, quality), REPEATS)
    return {
        "quality": quality,
        "images": len(images),
        "with_exact_pixels": exact,
        "looking_s": round(looking, 5),
        "encoding_s": round(encoding, 5),
    }


def photographs_table(folders: dict[str, list[dict[str, Any]]]) -> Table:
    """The records as a table to print."""
    table = Table(title="photographs")
    for head in ("folder", "quality", "images", "with exact pixels", "look, ms", "encoding, ms", "share, %"):
        table.add_column(head, justify="left" if head == "folder" else "right")
    for folder, records in folders.items():
        for found in records:
            looking, encoding = (1e3 * found[name] / found["images"] for name in ("looking_s", "encoding_s"))
            numbers = [found["quality"], found["images"], len(found["with_exact_pixels"])]
            times = (f"{looking:.2f}", f"{encoding:.1f}", f"{100 * looking / encoding:.2f}")
            table.add_row(folder, *map(str, numbers), *times)
    return table
