"""Metadata beside an image: EXIF, XMP, resolution. What is kept from a source, and passed on from a file.

Bad metadata never costs the image: what cannot be read or written is left out, with an `ImageWarning`.
Importing this module imports neither NumPy nor torch.
"""

from __future__ import annotations

import math
import re
from typing import Any

from PIL import ExifTags, Image

from rdpcodec.errors import ImageWarning, reason, warn
from rdpcodec.exif_claims import MOST_NUMBERS, check_claims
from rdpcodec.limits import METADATA_LIMIT

_ORIENTATION = ExifTags.Base.Orientation
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296
_INCH, _CENTIMETRE = 2, 3
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FOLDERS = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
# Tags that say where and how a TIFF stores its own pixels (TIFF 6.0 and its supplements, DNG, Photoshop's
# layers and resources), blocks that are stored elsewhere (XMP, ICC), and the image's size in EXIF. In another
# file they would be wrong.
_STRUCTURE = frozenset(
    (
        *range(254, 267),
        *(273, 277, 278, 279, 280, 281, 284, 288, 289, 290, 291, 292, 293, 297, 301),
        *range(317, 348),
        *range(512, 533),
        *(700, 4097, 4098, 33421, 33422, 34377, 34675, 37724, 40962, 40963),
        *range(50706, 52553),
    )
)
# What an XMP packet says of orientation and size, as XML may write it: an attribute in quotes of either kind,
# or an element, with whitespace where it may be. No part matches beyond the next "<", which bounds the time
# that a hostile packet takes.
_GEOMETRY = (
    rb"(?:tiff:Orientation|tiff:ImageWidth|tiff:ImageLength|exif:PixelXDimension|exif:PixelYDimension)"
)
_XMP_GEOMETRY = re.compile(
    _GEOMETRY + rb"""\s*=\s*(?:"[^"<]*"|'[^'<]*')"""
    rb"|<(" + _GEOMETRY + rb")(?:\s[^<>]*)?>[^<]*</\1\s*>"
)
# What ImageMagick calls EXIF in a PNG, and the lines before its hexadecimal digits.
_RAW_PROFILE, _RAW_PROFILE_LINES = "Raw profile type exif", 3
_TEXTS_READ = (_RAW_PROFILE, "XML:com.adobe.xmp")


class GivenResolution(tuple[float, float]):
    """A resolution, in pixels per inch, that a caller gives for an image, as "dpi" in its `info`: it goes
    before what the image's EXIF says.
    """


def left_out(what: str, why: object) -> None:
    """Warn that a part of the metadata is not passed on."""
    warn(f"{what} is left out: {why}", ImageWarning)


def orientation_of(image: Image.Image) -> int:
    """The orientation that EXIF or XMP gives an image, 1..8; 1 where there is none that can be read."""
    try:
        value = _exif(image).get(_ORIENTATION, 1)
    except Exception as error:  # Pillow's EXIF reader raises what struct, dict and its own code raise
        left_out("the EXIF block", f"it cannot be read ({reason(error)})")
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def upright(image: Image.Image) -> Image.Image:
    """A copy of a loaded image, turned as its orientation says. `ImageOps.exif_transpose` does the same, but
    fails if other tags are damaged.
    """
    turn = _TURNS.get(orientation_of(image))
    return image.copy() if turn is None else image.transpose(turn)


def exif_of(image: Image.Image) -> bytes | None:
    """The EXIF block to keep of an image: without orientation and structure, with the resolution that the
    caller or other headers give.
    """
    try:
        exif = _exif(image)
        tags, damaged = _descriptive(exif)
    except Exception as error:  # as in `orientation_of`
        left_out("the EXIF block", f"it cannot be read ({reason(error)})")
        exif, tags, damaged = Image.Exif(), {}, []
    if damaged:
        left_out(f"of the EXIF block {_first_three(damaged)}", "the values do not fit their tags")
    given = isinstance(image.info.get("dpi"), GivenResolution)
    # Half of a resolution says nothing, and would be mixed up.
    if given or not {_X_RESOLUTION, _Y_RESOLUTION} <= tags.keys():
        tags |= _resolution_tags(image)
    return _serialised(tags, exif.endian)


def cleaned_exif(data: bytes) -> bytes | None:
    """What may be passed on of a stored EXIF block, to writers of any format; None if there is nothing."""
    try:
        check_claims(data)
        exif = Image.Exif()
        exif.load(data)
        tags, damaged = _descriptive(exif)
    except Exception as error:  # as in `orientation_of`
        left_out("the EXIF block", f"it is damaged ({reason(error)})")
        return None
    if damaged:
        left_out(f"of the EXIF block {_first_three(damaged)}", "damaged")
    return _serialised(tags, exif.endian)


def resolution_of(exif: bytes) -> tuple[float, float] | None:
    """Pixels per inch, across and down, that an EXIF block gives; None if it gives none."""
    try:
        block = Image.Exif()
        block.load(exif)
        across, down = float(block[_X_RESOLUTION]), float(block[_Y_RESOLUTION])
        scale = {_INCH: 1.0, _CENTIMETRE: 2.54}.get(block.get(_RESOLUTION_UNIT, _INCH), 0.0)
    except Exception:  # as in `orientation_of`; whoever cleans the block warns
        return None
    return (across * scale, down * scale) if _sensible(across * scale, down * scale) else None


def xmp_of(image: Image.Image) -> bytes | None:
    """The XMP packet to keep of an image: without orientation and size."""
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if isinstance(packet, str):
        packet = packet.encode()
    if not isinstance(packet, bytes) or not packet.strip(b"\0 "):
        return None
    return within_limit("the XMP packet", without_geometry(packet))


def without_geometry(packet: bytes) -> bytes:
    """An XMP packet without orientation and size, which hold for the source alone."""
    return _XMP_GEOMETRY.sub(b"", packet)


def without_texts(image: Image.Image) -> Image.Image:
    """An image whose `info` has none of a PNG's texts, but for those that hold EXIF and XMP. Pillow puts them
    there under their own names, which may be those of its other entries: "gamma", say, or "dpi". The image
    itself, if there are none; otherwise one that shares its pixels and its file.
    """
    info = {
        key: value for key, value in image.info.items() if not isinstance(value, str) or key in _TEXTS_READ
    }
    if len(info) == len(image.info):
        return image
    return same_but(image, info=info)


def same_but(image: Image.Image, **changed: object) -> Image.Image:
    """An image that shares its pixels and its file with another, but for the attributes that are changed."""
    same = object.__new__(type(image))
    vars(same).update(vars(image) | changed)
    return same


def warn_of_comments(image: Image.Image) -> None:
    """Warn about the texts of a loaded image that are not kept: comments and PNG's text chunks."""
    info = {key: value for key, value in image.info.items() if isinstance(key, str)}
    texts = ["comment"] if info.get("comment") else []
    if image.format == "PNG":
        elsewhere = ("XML:", "Raw profile type ", "comment")
        texts += [key for key in info if isinstance(info[key], str) and not key.startswith(elsewhere)]
    if texts:
        left_out(f"the text of {_first_three([*map(repr, texts)])}", "only EXIF and XMP are kept")


def within_limit(what: str, data: bytes) -> bytes | None:
    """The data, if a file may hold as much metadata; otherwise None, with a warning."""
    if len(data) <= METADATA_LIMIT:
        return data
    left_out(what, f"it has {len(data) / 2**20:.0f} MiB, and the format holds {METADATA_LIMIT >> 20} MiB")
    return None


def _exif(image: Image.Image) -> Image.Exif:
    """An image's EXIF block. Raises `ValueError`, and whatever Pillow raises for a damaged block."""
    block = image.info.get("exif")
    if block is None and _RAW_PROFILE in image.info:
        block = bytes.fromhex("".join(image.info[_RAW_PROFILE].split("\n")[_RAW_PROFILE_LINES:]))
    if isinstance(block, bytes):
        check_claims(block)
    return without_texts(image).getexif()


def _descriptive(exif: Image.Exif) -> tuple[dict[int, Any], list[str]]:
    """The tags of an EXIF block that describe the image: those that can be written, and the names of the
    damaged ones.

    Raises `ValueError` for more numbers than `MOST_NUMBERS`: nothing counts those of a TIFF before.
    """
    kept: dict[int, Any] = {}
    damaged: list[int] = []
    numbers = 0
    for tag in sorted({*exif, *_FOLDERS}):
        if tag in _STRUCTURE or tag == _ORIENTATION:
            continue
        value = _folder(exif, tag) if tag in _FOLDERS else exif[tag]
        if value == {}:
            continue
        numbers += _numbers(value)
        if numbers > MOST_NUMBERS:
            raise ValueError(f"it holds more than {MOST_NUMBERS} numbers")
        if _writable(exif.endian, tag, value):
            kept[tag] = value
        elif isinstance(value, dict):
            kept[tag] = {key: v for key, v in value.items() if _writable(exif.endian, tag, {key: v})}
            damaged += value.keys() - kept[tag].keys()
        else:
            damaged.append(tag)
    return kept, [ExifTags.TAGS.get(tag, f"tag {tag}") for tag in damaged]


def _folder(exif: Image.Exif, tag: int) -> dict[int, Any]:
    """The descriptive tags of a folder in an EXIF block; a nested folder is one of the values."""
    tags = {key: value for key, value in exif.get_ifd(tag).items() if key not in _STRUCTURE}
    if tag == ExifTags.IFD.Exif and ExifTags.IFD.Interop in tags:
        tags[ExifTags.IFD.Interop] = _folder(exif, ExifTags.IFD.Interop)
    return tags


def _numbers(value: Any) -> int:
    """How many numbers a tag or a folder holds; text and bytes count as one."""
    if isinstance(value, dict):
        return sum(map(_numbers, value.values()))
    return len(value) if isinstance(value, tuple) else 1


def _writable(endian: str | None, tag: int, value: Any) -> bool:
    """Whether Pillow can write a value under a tag and read it back."""
    try:
        exif = Image.Exif()
        exif.load(_bytes_of({tag: value}, endian))
        if tag in _FOLDERS:
            return exif.get_ifd(tag).keys() == value.keys()
        return exif[tag] is not None
    except Exception:  # as in `orientation_of`
        return False


def _serialised(tags: dict[int, Any], endian: str | None) -> bytes | None:
    """Tags as an EXIF block within the format's limit; None if there are no tags."""
    tags = {tag: value for tag, value in tags.items() if value != {}}
    return within_limit("the EXIF block", _bytes_of(tags, endian)) if tags else None


def _bytes_of(tags: dict[int, Any], endian: str | None) -> bytes:
    exif = Image.Exif()
    exif.endian = endian
    for tag, value in tags.items():
        exif[tag] = value
    return exif.tobytes()


def _resolution_tags(image: Image.Image) -> dict[int, Any]:
    """The resolution that the caller or headers other than EXIF give, as EXIF tags."""
    if not isinstance(image.info.get("dpi"), GivenResolution):
        # A TIFF has no other header. Where its tags give no resolution, Pillow makes up 1 dpi.
        if image.format == "TIFF":
            return {}
        # Pillow makes up 72 dpi for a JPEG that has EXIF but gives no resolution.
        if image.format in ("JPEG", "MPO") and image.info.get("jfif_unit") not in (1, 2):
            return {}
    try:
        across, down = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return {}
    if not _sensible(across, down):
        return {}
    from PIL.TiffImagePlugin import IFDRational

    return {
        _X_RESOLUTION: IFDRational(round(across * 1000), 1000),
        _Y_RESOLUTION: IFDRational(round(down * 1000), 1000),
        _RESOLUTION_UNIT: _INCH,
    }


def _sensible(*resolutions: float) -> bool:
    return all(math.isfinite(value) and 0.01 < value < 1e5 for value in resolutions)


def _first_three(names: list[str]) -> str:
    """Up to three of the names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
