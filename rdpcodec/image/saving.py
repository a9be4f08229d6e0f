"""Decoded images → files in Pillow's formats."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from PIL import Image, ImageColor
from PIL.PngImagePlugin import PngInfo

from rdpcodec.errors import ImageError, ImageWarning, UsageError, reason, warn
from rdpcodec.image.files import missing_plugin, opened, register_plugins
from rdpcodec.metadata import left_out

# A decoded image should lose nothing more where the format allows it, and next to nothing where it does not.
_SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    # Pillow's default, 6, takes three times as long (as long as decoding) for 4 to 5 % fewer bytes.
    "PNG": {"compress_level": 3},
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
    "HEIF": {"quality": 95, "chroma": 444},
    "JXL": {"lossless": True},
    "MPO": {"quality": 95, "subsampling": 0},
    "PDF": {"quality": 95, "subsampling": 0},
}
_IN_ANY_PROFILE = ((0, 0, 0), (255, 255, 255))  # black and white are the same in all
_METADATA = {"exif": "the EXIF block", "xmp": "the XMP packet", "icc_profile": "the ICC profile"}
_XMP_TAG = 700  # of TIFF
_SPACE = slice(16, 20)  # where an ICC profile names its colour space


def writable_format(suffix: str) -> str:
    """Pillow's name for the format of a file extension. Raises `UsageError` when Pillow cannot write it."""
    if not is_writable(suffix):
        why = missing_plugin(suffix) or "not an image format that can be written; try .png, .webp or .jpg"
        raise UsageError(f"{suffix or 'no extension'}: {why}")
    return Image.EXTENSION[suffix]


def is_writable(suffix: str) -> bool:
    """Whether Pillow writes files of an extension."""
    Image.preinit()  # a handful of formats: importing all plugins takes as long as decoding
    if Image.EXTENSION.get(suffix) not in Image.SAVE:
        Image.init()
        register_plugins()
    return Image.EXTENSION.get(suffix) in Image.SAVE


def encode_image(image: Image.Image, name: str, target: object) -> bytes:
    """A decoded image as the bytes of a file in a Pillow format, with the metadata of its `info`.

    target: the name that an error gives. Warns with `ImageWarning` about metadata that the format cannot
    hold, and about colours, unless the format is lossy by design. Raises `UsageError` when the format cannot
    hold the image.
    """
    first: Exception | None = None
    present = [key for key in _METADATA if key in image.info]
    for kept in _fewer(present):
        try:
            data = _saved(image, name, kept)
        except MemoryError:
            raise
        except Exception as error:  # writers raise on odd metadata what readers raise on damaged files
            first = first or error
            continue
        lost = {*present} - {*kept} | _checked(data, image, name, target, kept)
        why = f"{name} cannot hold it" + (f" ({reason(first)})" if first else "")
        if "icc_profile" in lost:
            left_out(_METADATA["icc_profile"], f"{why}; the colours are sRGB now")
            return encode_image(_in_srgb(image), name, target)
        for key in sorted(lost):
            left_out(_METADATA[key], why)
        _warn_of_colours(data, image, name, target)
        return data
    assert first is not None
    others = " or ".join(
        {"PNG": ".png", "WEBP": ".webp"}[other] for other in ("PNG", "WEBP") if other != name
    )
    others += " or --background" if "A" in image.getbands() else ""
    raise UsageError(f"{target}: {name} cannot hold this image ({reason(first)}); try {others}") from first


def on_background(image: Image.Image, colour: str) -> Image.Image:
    """An image of mode L, LA, RGB or RGBA, with what is transparent in front of a plain colour.

    colour: as Pillow writes colours, "white" or "#ff8800". Raises `UsageError` for anything else. It is
    one of sRGB: an ICC profile, in which it would be another, is applied, with an `ImageWarning`.
    """
    red, green, blue = parsed_colour(colour)
    if "A" not in image.getbands():
        return image
    if "icc_profile" in image.info and (red, green, blue) not in _IN_ANY_PROFILE:
        left_out(_METADATA["icc_profile"], f"the background, {colour}, is sRGB; the other colours are so now")
        image = _in_srgb(image)
    gray = image.mode == "LA" and red == green == blue
    ground = Image.new("L", image.size, red) if gray else Image.new("RGB", image.size, (red, green, blue))
    ground.paste(image.convert(ground.mode), mask=image.getchannel("A"))
    ground.info = image.info
    return ground


def parsed_colour(colour: str) -> tuple[int, int, int]:
    """Red, green and blue, 0..255, of an opaque colour as Pillow writes it. Raises `UsageError`."""
    none = f"{colour!r} is not a colour: give a name such as white, or #rrggbb"
    try:
        red, green, blue, *alpha = ImageColor.getrgb(colour)
    except ValueError:
        raise UsageError(none) from None
    if max(red, green, blue) > 255:  # Pillow takes rgb(300, 0, 0)
        raise UsageError(none)
    if alpha and alpha[0] < 255:
        raise UsageError(f"{colour!r} is transparent itself: give an opaque colour, such as #rrggbb")
    return red, green, blue


def _in_srgb(image: Image.Image) -> Image.Image:
    """An image with the ICC profile of its `info` applied and removed."""
    from rdpcodec.image.colour import to_srgb

    bands = image.getbands()
    colour = to_srgb(image.convert("L" if bands[0] == "L" else "RGB"), image.info["icc_profile"])
    if "A" in bands:
        colour.putalpha(image.getchannel("A"))
    colour.info = {key: value for key, value in image.info.items() if key != "icc_profile"}
    return colour


def _fewer(keys: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Subsets of the metadata, from all to none."""
    for count in range(len(keys), -1, -1):
        yield from combinations(keys, count)


def _saved(image: Image.Image, name: str, kept: tuple[str, ...]) -> bytes:
    """The file, with the metadata named. Raises whatever Pillow's writer raises."""
    passed = {key: image.info[key] for key in (*kept, "dpi") if key in image.info}
    # Without the option, writers take the profile of `info`.
    options = {"icc_profile": None, **_SAVE_OPTIONS.get(name, {}), **passed}
    if "xmp" in kept and name == "PNG":
        options["pnginfo"] = info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", options.pop("xmp").decode())
    elif "xmp" in kept and name == "TIFF":  # Pillow ignores `exif` where it gets `tiffinfo`
        tags = Image.Exif()
        if "exif" in kept:
            tags.load(options["exif"])
        tags[_XMP_TAG] = options.pop("xmp")
        options["exif"] = tags
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def _checked(data: bytes, image: Image.Image, name: str, target: object, kept: tuple[str, ...]) -> set[str]:
    """The metadata that were to be kept but are missing from the file: some writers drop them silently.

    Raises `UsageError` when the file does not have the image's size or has lost its alpha channel.
    """
    try:
        with opened(data, formats=[name] if name in Image.OPEN else None) as written:
            size, transparent = written.size, written.has_transparency_data
            lost = {key for key in kept if not _has(written, key)}
    except ImageError:  # a format that Pillow writes but does not read, or not under this name
        return set(kept)
    if size != image.size:
        raise UsageError(f"{target}: {name} cannot hold an image of {image.width}×{image.height} pixels")
    if "A" in image.getbands() and image.getchannel("A").getextrema() != (255, 255) and not transparent:
        raise UsageError(f"{target}: {name} cannot hold an alpha channel; try .png, .webp or --background")
    return lost


def _warn_of_colours(data: bytes, image: Image.Image, name: str, target: object) -> None:
    """Warn when a file does not hold its image's pixels, unless its format is known as lossy or lossless."""
    if name in _SAVE_OPTIONS or name not in Image.OPEN:
        return
    try:
        with opened(data, formats=[name]) as written:
            same = np.array_equal(np.asarray(written.convert(image.mode)), np.asarray(image))
    except ImageError:  # as in `_checked`; EPS, say, needs Ghostscript
        return
    if not same:
        warn(f"{target}: {name} cannot hold all colours of this image; .png and .webp can", ImageWarning)


def _has(written: Image.Image, key: str) -> bool:
    """Whether a file has metadata of a kind, as far as Pillow can read it. A profile for gray does not count
    in a file of colours: some formats have no gray.
    """
    if key == "exif":
        return len(written.getexif()) > 0
    if key == "icc_profile" and written.getbands()[0] != "L":
        profile = written.info.get(key)
        return profile is not None and profile[_SPACE] != b"GRAY"
    return bool(written.info.get(key) or (key == "xmp" and written.info.get("XML:com.adobe.xmp")))
