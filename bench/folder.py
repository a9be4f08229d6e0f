"""A folder of images: the option that names it, and its images."""

from __future__ import annotations

from pathlib import Path

import click
from PIL import Image

from rdpcodec.errors import UsageError

# A folder that an option or argument names.
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)

_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"}

data_option = click.option(
    "--data",
    type=FOLDER,
    required=True,
    help="Folder of images.",
)


def image_paths(folder: Path) -> list[Path]:
    """The images of a folder, except hidden files. Raises `UsageError` if there are none."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    paths = [path for path in paths if not path.name.startswith(".")]
    if not paths:
        raise UsageError(f"{folder}: no images")
    return paths


def load_folder(folder: Path) -> dict[str, Image.Image]:
    """The images of a folder as RGB, by name. Raises `UsageError`."""
    return {path.name: open_rgb(path) for path in image_paths(folder)}


def open_rgb(path: Path) -> Image.Image:
    """The pixels of an image as RGB, without profile and EXIF, which only some writers copy into their files.

    Raises `UsageError`.
    """
    try:
        with Image.open(path) as file:
            if file.mode.startswith(("I", "F")):  # Pillow would clip these
                raise UsageError(f"{path}: its pixels have more than 8 bits ({file.mode})")
            image = file.convert("RGB")
    except OSError as error:
        raise UsageError(f"{path}: {error}") from error
    image.info = {}
    return image
