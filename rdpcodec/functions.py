"""`rdpcodec.compress` and `rdpcodec.decompress`: one image, with a named model that stays loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from rdpcodec.arguments import container_of
from rdpcodec.codec import shared_codec
from rdpcodec.files.source import File, named
from rdpcodec.limits import MAX_PIXELS
from rdpcodec.mosaic import Region
from rdpcodec.operating_point import OperatingPoint, Quality, Realism, point_from_arguments
from rdpcodec.targets import Target
from rdpcodec.weights.manifest import DEFAULT_MODEL, model_for_file

if TYPE_CHECKING:
    from rdpcodec.image import Source


def compress(
    image: Source,
    quality: Quality | OperatingPoint | None = None,
    *,
    target: Target | None = None,
    realism: Realism | None = None,
    effort: int | None = None,
    model: str = DEFAULT_MODEL,
    device: str = "cpu",
    keep_metadata: bool = False,
    exact_alpha: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> bytes:
    """Compress one image to the bytes of an .rdpc file, with a named model that stays loaded.

    image: a Pillow image; a file's path, its bytes, or the open file; an array `[H, W]` or `[H, W, C]`,
    uint8, uint16 or in [0, 1]; a tensor `[C, H, W]`, uint8 or in [0, 1]. The other arguments and the errors
    are those of `Codec.compress` and `Codec`.

    >>> from PIL import Image
    >>> image = Image.effect_noise((256, 256), 50).convert("RGB")
    >>> data = compress(image, quality=40)
    >>> decompress(data).size
    (256, 256)
    >>> len(compress(image, Target.size("4kB"))) <= 4000
    True
    """
    point = point_from_arguments(quality, target, realism, effort)
    codec = shared_codec(model, device)
    return codec.compress(
        image, point, keep_metadata=keep_metadata, exact_alpha=exact_alpha, max_pixels=max_pixels
    )


def decompress(
    data: File,
    *,
    realism: float | None = None,
    region: Region | None = None,
    device: str = "cpu",
    max_pixels: int = MAX_PIXELS,
) -> Image.Image:
    """Decompress an .rdpc file, given as bytes, path or open file, with the weights that it needs.

    The other arguments and the errors are those of `Codec.decompress`.

    >>> data = compress(Image.new("RGB", (64, 64)))
    >>> decompress(data, region=(16, 0, 32, 8)).size
    (32, 8)
    """
    file = container_of(data, max_pixels)
    with named(data):
        codec = shared_codec(model_for_file(file.header).name, device)
        return codec.decode([file], realism, region)[0].to_pillow()
