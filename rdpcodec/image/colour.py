"""Colours of a source → sRGB: ICC profiles, judged by what they do, and PNG's gAMA, cHRM and cICP."""

from __future__ import annotations

import io
import struct
from typing import IO, Any

import numpy as np
from PIL import Image, ImageCms

from rdpcodec.errors import ImageWarning, reason, warn
from rdpcodec.image.profiles import (
    CODED_CURVES,
    CODED_PRIMARIES,
    HIGH_DYNAMIC_RANGE,
    SRGB,
    Primaries,
    made_profile,
)
from rdpcodec.metadata import left_out, within_limit

_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK", "LAB": "Lab"}
_SRGB_GAMMA = 1 / 2.2
# Two encodings of one colour space differ by rounding.
_ROUNDING = 1
# How far the channels of gray may differ under a colour profile; beyond this, it is colour.
_GRAY_SPREAD = 3


def described_profile(image: Image.Image) -> bytes | None:
    """The ICC profile of an image that has not been loaded yet: its own, or one made from other chunks of a
    PNG; None where the pixels are sRGB, or nothing says what they are.

    cICP takes precedence over iCCP, iCCP over sRGB, sRGB over gAMA, as in the PNG specification (§4.3).
    """
    code = _coded_colours(image)
    if code is not None:
        primaries, transfer = code
        if transfer in HIGH_DYNAMIC_RANGE:
            _warn(f"the image is HDR ({HIGH_DYNAMIC_RANGE[transfer]}): its colours are taken as they stand")
            return None
        if primaries in CODED_PRIMARIES and transfer in CODED_CURVES:
            return made_profile(CODED_PRIMARIES[primaries], CODED_CURVES[transfer])
        _warn(f"the colour space {primaries}/{transfer} of cICP is not known and is ignored")
    if profile := image.info.get("icc_profile"):
        return profile if isinstance(profile, bytes) else None
    gamma = image.info.get("gamma")
    if image.format != "PNG" or gamma is None or "srgb" in image.info:
        return None
    return _profile_of_gamma(gamma, image.info.get("chromaticity"))


def _coded_colours(image: Image.Image) -> tuple[int, int] | None:
    """Primaries and transfer of a PNG's cICP chunk, which Pillow does not expose; None without one."""
    file: IO[bytes] | None = getattr(image, "fp", None)
    if image.format != "PNG" or file is None:
        return None
    position = file.tell()
    try:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"cICP" and length == 4:
                primaries, transfer, _, _ = file.read(4)
                return primaries, transfer
            if kind in (b"IDAT", b"IEND"):
                return None
            file.seek(length + 4, io.SEEK_CUR)
        return None
    finally:
        file.seek(position)


def _profile_of_gamma(gamma: Any, chromaticity: Any) -> bytes | None:
    """A profile made from PNG's gAMA and cHRM; None where they are those of sRGB, or unusable."""
    primaries = SRGB
    if chromaticity is not None and len(chromaticity) == 8:
        points = [(chromaticity[i], chromaticity[i + 1]) for i in range(0, 8, 2)]
        primaries = Primaries(*points)
    try:
        # 2.2 stands for sRGB's curve, from which it differs little; files with either mean the same.
        if abs(gamma - _SRGB_GAMMA) < 0.01 and primaries.near(SRGB):
            return None
        if not 0.1 <= gamma <= 10:
            raise ValueError(f"a gamma of {gamma}")
        return made_profile(primaries, (1 / gamma,))
    except (ValueError, OverflowError, struct.error) as error:
        _warn(f"the gAMA and cHRM chunks are ignored: {reason(error)}")
        return None


def kept_profile(image: Image.Image, profile: bytes) -> bytes | None:
    """The profile, if it describes the pixels of `image` as they stand, mode L or RGB, and a file can hold
    it. Otherwise None: the profile must be applied.
    """
    if image.mode not in ("L", "RGB"):
        return None
    try:
        space = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space.strip()
    except Exception:  # applying it will say so
        return None
    return within_limit("the ICC profile", profile) if space == _SPACES[image.mode] else None


def cleaned_profile(data: bytes, mode: str) -> bytes | None:
    """A stored ICC profile, if it is one, for images of a mode, L or RGB; otherwise None, with a warning."""
    try:
        space = ImageCms.ImageCmsProfile(io.BytesIO(data)).profile.xcolor_space.strip()
    except Exception as error:  # littleCMS's complaints come as OSError, Pillow's own as several kinds
        left_out("the ICC profile", f"it is damaged ({reason(error)})")
        return None
    if space != _SPACES[mode]:
        left_out("the ICC profile", f"it is for {space!r}, the image is {_SPACES[mode]}")
        return None
    return data


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Apply an ICC profile: mode L stays L unless the profile tints it. A profile that does not fit the image
    is ignored, as in browsers, with a warning.
    """
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if image.mode == "L" and space in ("GRAY", "RGB"):
            return _gray_to_srgb(image, source, "L" if space == "GRAY" else "RGB")
        if image.mode not in _SPACES:
            image = image.convert("RGB")
        if space != _SPACES[image.mode]:
            raise ValueError(f"it is for {space}, the image is {image.mode}")
        transform = _transform(source, image.mode)
        if image.mode == "RGB" and _changes_nothing(transform):
            return image
        return ImageCms.applyTransform(image, transform) or image
    except Exception as error:  # PyCMSError, OSError, and what damaged profiles raise in Pillow
        _warn(f"the ICC profile cannot be applied and is ignored: {reason(error)}")
        return image


def _transform(source: ImageCms.ImageCmsProfile, mode: str) -> ImageCms.ImageCmsTransform:
    srgb = ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(source, srgb, mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC)


def _gray_to_srgb(image: Image.Image, source: ImageCms.ImageCmsProfile, mode: str) -> Image.Image:
    """A gray image under a profile of `mode`, L or RGB: still gray if neutrals stay neutral under it."""
    table = Image.fromarray(np.arange(256, dtype=np.uint8)[None]).convert(mode)
    mapped = ImageCms.applyTransform(table, transform := _transform(source, mode))
    assert mapped is not None
    values = np.asarray(mapped)[0].astype(int)
    if np.ptp(values, axis=1).max() <= _GRAY_SPREAD:
        return image.point([int(value) for value in (values.sum(axis=1) + 1) // 3])
    return ImageCms.applyTransform(image.convert(mode), transform) or image


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether a transform is the identity except for rounding, judged by a grid of colours, not by a name."""
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(27, 27, 3)
    mapped = ImageCms.applyTransform(Image.fromarray(grid), transform)
    return int(np.abs(np.asarray(mapped).astype(int) - grid).max()) <= _ROUNDING


def _warn(message: str) -> None:
    warn(message, ImageWarning)
