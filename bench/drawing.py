"""pyplot without a display, since figures are only written to files, and the function that writes them."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib
from PIL import Image

from bench.record import write_file

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.figure import Figure

__all__ = ["pyplot", "write_figure"]

_COLOURS = 256


def write_figure(path: Path, figure: Figure, dpi: int) -> None:
    """Write a figure as a PNG with 256 colours, a quarter of the bytes of full colour, and close it.

    Raises `OutputError`.
    """
    drawn, reduced = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=dpi)
    pyplot.close(figure)
    few_colours(Image.open(drawn)).save(reduced, format="PNG", optimize=True)
    write_file(path, reduced.getvalue())


def few_colours(image: Image.Image) -> Image.Image:
    """Reduce an image of lines and text to a palette, without dithering."""
    return image.convert("RGB").quantize(_COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
