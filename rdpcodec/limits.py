"""How large an image and its metadata may be, in files that are read and in files that are written."""

from __future__ import annotations

from numbers import Real

from rdpcodec.errors import UsageError

MAX_SIDE = 65_535
# Decoding works tile by tile: only the decoded image and two rows of latents grow with the size. This bounds
# the size that a hostile header can claim; docs/recipes.md says what it may cost. `max_pixels` sets a lower
# limit.
MAX_PIXELS = 1 << 28
# Metadata is small; a bound keeps a hostile segment from inflating without end.
METADATA_LIMIT = 16 << 20


def check_size(width: int, height: int, error: type[Exception], max_pixels: int = MAX_PIXELS) -> None:
    """Raise `error` unless an image of this size can be coded and has at most `max_pixels` pixels. Raise
    `UsageError` if that limit is not a number.
    """
    if isinstance(max_pixels, bool) or not isinstance(max_pixels, Real) or max_pixels != max_pixels:
        raise UsageError(f"max_pixels {max_pixels!r} is not a number")
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise error(f"an image of {width}×{height} pixels: sides must be 1..{MAX_SIDE}")
    limit = min(max_pixels, MAX_PIXELS)
    if width * height > limit:
        most = f"{limit / 1e6:.4g} megapixels" if limit >= 1e6 else f"{limit:.12g} pixels"
        raise error(f"an image of {width}×{height} pixels is over the limit of {most}")
