"""A folder of images: the option that names it, and its images."""

from __future__ import annotations

from pathlib import Path

import click
from PIL import Image

# A folder that an option or argument names.
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)

_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"}

data_option = click.option(
    "--data",
    type=FOLDER,
    required=True,
    help="Folder of images.",
)


def load_folder(folder: Path) -> dict[str, Image.Image]:
    """The images of a folder as RGB, by name. Raises `click.ClickException` if there are none."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    if not paths:
        raise click.ClickException(f"{folder}: no images")
    return {path.name: Image.open(path).convert("RGB") for path in paths}
