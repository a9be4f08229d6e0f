"""Fonts from packages: DejaVu from matplotlib, and NanumGothic from koreanize-matplotlib for Chinese,
Japanese and Korean.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from PIL import ImageFont

from rdpcodec.errors import UsageError

FACES = {
    "sans": ("matplotlib", "DejaVuSans.ttf"),
    "bold": ("matplotlib", "DejaVuSans-Bold.ttf"),
    "serif": ("matplotlib", "DejaVuSerif.ttf"),
    "mono": ("matplotlib", "DejaVuSansMono.ttf"),
    "east": ("koreanize-matplotlib", "NanumGothic.ttf"),
}


@cache
def font(face: str, size: int) -> ImageFont.FreeTypeFont:
    """A face of `FACES` at a size in pixels. Raises `UsageError` if its package is missing."""
    return ImageFont.truetype(str(_path(*FACES[face])), size)


def _path(package: str, name: str) -> Path:
    try:
        found = [file for file in files(package) or () if file.name == name]
    except PackageNotFoundError:
        raise UsageError(f"the fonts of {package} are missing: pip install {package}") from None
    return Path(str(found[0].locate()))
