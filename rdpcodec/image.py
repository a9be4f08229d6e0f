"""Pillow images, files, NumPy arrays and torch tensors ⇄ the pixels the codec works on, and what must survive
beside them.

The codec sees 8-bit sRGB. What a source has beyond that is carried (alpha, gray, and on request EXIF and ICC
profile), converted (profiles, CMYK, palettes), or given up with a warning (16 bits, further frames).
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from rdpcodec.container import check_size
from rdpcodec.errors import PictureError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

    Source = Image.Image | str | Path | BinaryIO | np.ndarray | Tensor

# A decoded image should lose nothing more where the format allows, and next to nothing where it does not.
_SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
}
_SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I")


class PictureWarning(UserWarning):
    """Something of the source is not in the coded file."""


@dataclass(frozen=True)
class Picture:
    """An image as the codec takes it and gives it back."""

    pixels: np.ndarray  # uint8 [H, W, 3], sRGB, or in the colour space of `icc`
    gray: bool = False  # the three channels are equal and one is to be returned
    alpha: np.ndarray | None = None  # uint8 [H, W]
    icc: bytes | None = None
    exif: bytes | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.pixels.shape[1], self.pixels.shape[0]

    def to_pillow(self) -> Image.Image:
        """A Pillow image, mode L, LA, RGB or RGBA, with `icc_profile` and `exif` in its `info` where kept."""
        image = Image.fromarray(self.pixels)
        if self.gray:
            # Equal channels come back nearly equal; their mean has the smallest error.
            mean = (self.pixels.astype(np.uint16).sum(axis=2) + 1) // 3
            image = Image.fromarray(mean.astype(np.uint8))
        if self.alpha is not None:
            image.putalpha(Image.fromarray(self.alpha))
        if self.icc is not None:
            image.info["icc_profile"] = self.icc
        if self.exif is not None:
            image.info["exif"] = self.exif
        return image


def load_picture(source: Source, *, keep_metadata: bool = False) -> Picture:
    """Read an image from any of the supported sources.

    source: a Pillow image; a path or binary file of any format Pillow reads; a NumPy array, uint8 or uint16,
    `[H, W]` or `[H, W, C]` with C = 1 (gray), 2 (gray, alpha), 3 (RGB) or 4 (RGBA); a torch tensor `[C, H,
    W]` or `[1, C, H, W]`, uint8 or floating point in [0, 1]. keep_metadata: keep EXIF and ICC profile. A kept
    profile is not applied: the pixels stay in its colour space.

    Raises `PictureError` when it cannot be read or coded. Warns with `PictureWarning` of what is lost.
    """
    if isinstance(source, Image.Image):
        return _from_pillow(source, keep_metadata)
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, (str, Path)) or hasattr(source, "read"):
        return _from_file(source, keep_metadata)
    if hasattr(source, "detach"):
        return _from_tensor(source)
    raise PictureError(
        f"cannot read an image from {type(source).__name__}: give a Pillow image, path, array or tensor"
    )


def _from_file(source: Any, keep_metadata: bool) -> Picture:
    name = source if isinstance(source, (str, Path)) else getattr(source, "name", "the given data")
    try:
        with warnings.catch_warnings():
            # Our own size limit applies, with our own error.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(source) as image:
                check_size(*image.size, PictureError)
                return _from_pillow(image, keep_metadata)
    except FileNotFoundError:
        raise PictureError(f"{name}: no such file") from None
    except UnidentifiedImageError:
        raise PictureError(f"{name}: not an image in a format that Pillow reads") from None
    except PictureError as error:
        raise PictureError(f"{name}: {error}") from None
    # Pillow's plugins raise many kinds of error on damaged files.
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, Image.DecompressionBombError) as error:
        raise PictureError(f"{name}: cannot be read: {error}") from error


def _from_pillow(image: Image.Image, keep_metadata: bool) -> Picture:
    check_size(*image.size, PictureError)
    if getattr(image, "is_animated", False):
        frames = getattr(image, "n_frames", 2)
        warnings.warn(f"only the first of {frames} frames is coded", PictureWarning, stacklevel=4)
        image.seek(0)
    # Pillow gives 16-bit colour as 8-bit; only the decoder's raw mode ("RGB;16B") tells.
    sixteen = image.mode in _SIXTEEN_BIT_MODES or any(
        ";16" in str(tile[3]) for tile in getattr(image, "tile", [])
    )
    if sixteen:
        warnings.warn("16 bits a channel are coded as 8", PictureWarning, stacklevel=4)
    if image.mode == "F":
        raise PictureError("a floating-point image has no defined range: scale it to 8 or 16 bits first")
    image.load()
    profile = image.info.get("icc_profile") or None
    exif = Image.Exif()
    exif.load(image.getexif().tobytes())
    if exif.pop(ExifTags.Base.Orientation, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode in _SIXTEEN_BIT_MODES:
        image = Image.fromarray(_to_eight_bits(np.asarray(image)))

    alpha = None
    if image.has_transparency_data:
        image = image.convert("LA" if image.mode in ("1", "L", "LA", "La") else "RGBA")
        alpha = np.asarray(image.getchannel("A"))
        image = image.convert(image.mode[:-1])
    gray = image.mode in ("1", "L")
    if image.mode in ("1", "P", "PA", "RGBX", "RGBa"):
        image = image.convert("L" if gray else "RGB")

    keep_profile = keep_metadata and profile is not None and image.mode in ("L", "RGB")
    if profile is not None and not keep_profile:
        image = _to_srgb(image, profile)
    # Copies that change nothing would cost 4 bytes a pixel.
    pixels = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    return Picture(
        pixels,
        gray,
        alpha,
        icc=profile if keep_profile else None,
        exif=exif.tobytes() if keep_metadata and len(exif) else None,
    )


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Apply an ICC profile.

    A profile that does not fit the image is ignored with a warning, as browsers do.
    """
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source):
            return image
        if image.mode not in ("L", "RGB", "CMYK", "LAB"):
            image = image.convert("RGB")
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        srgb = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, source, srgb, intent, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError) as error:
        warnings.warn(
            f"the ICC profile cannot be applied and is ignored: {error}", PictureWarning, stacklevel=5
        )
        return image
    assert converted is not None
    return converted


def _to_eight_bits(values: np.ndarray) -> np.ndarray:
    """16-bit values → uint8, rounded."""
    if values.min() < 0 or values.max() > 65_535:
        raise PictureError("pixel values lie outside 0..65535")
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _from_array(array: np.ndarray) -> Picture:
    if array.dtype == np.uint16:
        warnings.warn("16 bits a channel are coded as 8", PictureWarning, stacklevel=4)
    elif array.dtype != np.uint8:
        raise PictureError(f"an array of {array.dtype} has no defined range: give uint8 or uint16")
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 2, 3, 4):
        raise PictureError(
            f"an array of shape {array.shape} is no picture: give [H, W] or [H, W, C], C = 1 to 4"
        )
    check_size(array.shape[1], array.shape[0], PictureError)
    if array.dtype == np.uint16:
        array = _to_eight_bits(array)
    gray = array.shape[2] < 3
    alpha = np.ascontiguousarray(array[:, :, -1]) if array.shape[2] in (2, 4) else None
    pixels = np.repeat(array[:, :, :1], 3, axis=2) if gray else np.ascontiguousarray(array[:, :, :3])
    return Picture(pixels, gray, alpha)


def _from_tensor(tensor: Any) -> Picture:
    if tensor.ndim == 4:
        if tensor.shape[0] != 1:
            raise PictureError(f"a batch of {tensor.shape[0]} images: use Codec.compress_batch")
        tensor = tensor[0]
    if tensor.ndim != 3:
        raise PictureError(
            f"a tensor of shape {tuple(tensor.shape)} is no image: give [C, H, W] or [1, C, H, W]"
        )
    if tensor.is_floating_point():
        if not bool(((tensor >= 0) & (tensor <= 1)).all()):
            raise PictureError("a floating-point tensor must lie in [0, 1]")
        tensor = (tensor.float() * 255).round()
    elif str(tensor.dtype) != "torch.uint8":
        raise PictureError(
            f"a tensor of {tensor.dtype} has no defined range: give uint8 or floating point in [0, 1]"
        )
    return _from_array(tensor.detach().cpu().permute(1, 2, 0).numpy().astype(np.uint8))


def writable_format(suffix: str) -> str:
    """Pillow's name of the format of a file extension. Raises `UsageError` if Pillow cannot write it."""
    name = Image.registered_extensions().get(suffix)
    if name is None or name not in Image.SAVE:
        raise UsageError(
            f"{suffix or 'no extension'}: not an image format that can be written; try .png, .webp or .jpg"
        )
    return name


def encode_picture(image: Image.Image, name: str, target: object) -> bytes:
    """A decoded image as the bytes of a file of a Pillow format, with the metadata of its `info`.

    target: what an error names. Raises `UsageError` when the format cannot hold the image.
    """
    options = dict(_SAVE_OPTIONS.get(name, {}))
    options |= {key: image.info[key] for key in ("exif", "icc_profile") if key in image.info}
    buffer = io.BytesIO()
    try:
        image.save(buffer, name, **options)
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"{target}: {name} cannot hold this image ({error}); try .png or .webp") from error
    return buffer.getvalue()
