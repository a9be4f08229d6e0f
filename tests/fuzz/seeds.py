"""What the cases damage: a small image in every format that Pillow writes, with profile, EXIF and XMP."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageCms

from rdpcodec.image.profiles import CODED_PRIMARIES, made_profile

_ACROSS, _DOWN = np.meshgrid(np.arange(40), np.arange(30))
SEEN = np.stack([_ACROSS * 6, _DOWN * 8, (_ACROSS * _DOWN) % 251], axis=-1).astype(np.uint8)
"""A gradient with texture, uint8 `[30, 40, 3]`."""

_FORMATS = (
    "PNG",
    "JPEG",
    "WEBP",
    "AVIF",
    "TIFF",
    "JPEG2000",
    "GIF",
    "BMP",
    "PPM",
    "TGA",
    "DDS",
    "QOI",
    "SGI",
    "PCX",
    "ICO",
)
_MODES = {
    "PNG": ("RGB", "RGBA", "L", "LA", "P", "1", "I;16"),
    "TIFF": ("RGB", "CMYK", "LAB", "I;16", "1"),
    "JPEG": ("RGB", "L", "CMYK"),
}


def exif_seed() -> bytes:
    """A block with both folders, texts, rationals and a note."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Orientation] = "Box", 6
    exif[282], exif[283], exif[296] = 300, 300, 2
    exif[ExifTags.IFD.Exif] = {33434: 0.25, 36867: "2026:01:02 03:04:05", 37500: b"note" * 4}
    exif[ExifTags.IFD.GPSInfo] = {1: "N", 2: (48.0, 8.0, 30.0), 5: 0}
    return exif.tobytes()


def xmp_seed() -> bytes:
    """A packet with an orientation."""
    return b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="3"/></x:xmpmeta>'


def profiles() -> list[bytes]:
    """ICC profiles of several kinds of colour."""
    made = [made_profile(primaries, (2.2,)) for primaries in CODED_PRIMARIES.values()]
    built = [
        ImageCms.ImageCmsProfile(ImageCms.createProfile(kind)).tobytes() for kind in ("sRGB", "LAB", "XYZ")
    ]
    return [*made[:3], *built]


def source_files() -> list[bytes]:
    """Files of all formats and modes that this Pillow writes."""
    files = []
    for kind in _FORMATS:
        for mode in _MODES.get(kind, ("RGB",)):
            for options in _options(kind, mode):
                buffer = io.BytesIO()
                try:
                    _image(mode).save(buffer, kind, **options)
                except Exception:  # this Pillow was built without it, or cannot write the mode
                    continue
                files.append(buffer.getvalue())
    return files


def _image(mode: str) -> Image.Image:
    image = Image.fromarray(SEEN)
    if mode == "LAB":
        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        return ImageCms.profileToProfile(image, srgb, lab, outputMode="LAB") or image
    if mode == "I;16":
        return Image.fromarray(SEEN[..., 0].astype(np.uint16) * 257)
    return image.convert(mode)


def _options(kind: str, mode: str) -> list[dict[str, Any]]:
    """Ways to save in a format: plain, with metadata, with several frames."""
    metadata = {"exif": exif_seed(), "icc_profile": profiles()[0], "xmp": xmp_seed(), "dpi": (300, 300)}
    # All frames have one mode: Pillow 11.3 fails on frames of several.
    others = [_image(mode).transpose(Image.Transpose.ROTATE_180)]
    ways: list[dict[str, Any]] = [{}]
    if kind in ("PNG", "JPEG", "WEBP", "AVIF", "TIFF"):
        ways.append(
            {key: value for key, value in metadata.items() if kind not in ("PNG", "TIFF") or key != "xmp"}
        )
    if kind in ("PNG", "WEBP", "GIF", "TIFF", "AVIF"):
        ways.append({"save_all": True, "append_images": others})
    if kind == "JPEG":
        ways.append({"progressive": True})
    if kind == "TIFF":
        ways += [{"compression": name} for name in ("tiff_lzw", "packbits", "tiff_adobe_deflate")]
        # Pillow 11.3 corrupts its memory where libtiff refuses a mode.
        ways += [{"compression": "jpeg"}] if mode == "RGB" else []
    return ways
