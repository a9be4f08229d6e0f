"""Training images: decoded once to uint8 in memory, crops cut on the device that trains."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from rdpcodec.errors import UsageError, reason

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
# Every 40th image (2.5 %) is never trained on: enough crops for a loss curve that is smooth to 0.5 %.
VALIDATION_EVERY = 40
# How many files that cannot be read a message names.
_MOST_NAMED = 5
_T = TypeVar("_T")


class ImageSet:
    """A set of images as one flat array of pixels on one device."""

    def __init__(
        self, sizes: Sequence[tuple[int, int]], images: Iterable[np.ndarray], device: torch.device
    ) -> None:
        """sizes: height and width of each image; images: uint8 `[H, W, 3]` each, sRGB, which may be decoded
        one by one as they are asked for.
        """
        self.heights, self.widths = torch.tensor(sizes).unbind(1)
        areas = self.heights * self.widths
        self.offsets = torch.cumsum(areas, 0) - areas
        self.areas = areas.double()
        pixels = np.empty((int(areas.sum()), 3), np.uint8)
        for image, offset, area in zip(images, self.offsets.tolist(), areas.tolist(), strict=True):
            pixels[offset : offset + area] = image.reshape(-1, 3)
        self.pixels = torch.from_numpy(pixels).to(device)

    @classmethod
    def of(cls, images: Sequence[np.ndarray], device: torch.device) -> ImageSet:
        """A set of images in memory, uint8 `[H, W, 3]` each."""
        return cls([image.shape[:2] for image in images], images, device)

    def __len__(self) -> int:
        return len(self.heights)

    @property
    def megapixels(self) -> float:
        return len(self.pixels) / 1e6

    def image(self, number: int) -> np.ndarray:
        """A whole image, uint8 `[H, W, 3]`, on the CPU."""
        height, width, start = (int(x[number]) for x in (self.heights, self.widths, self.offsets))
        return self.pixels[start : start + height * width].numpy(force=True).reshape(height, width, 3)

    def crops(self, count: int, side: int, generator: torch.Generator) -> Tensor:
        """`count` random square crops, half of them mirrored, from images drawn in proportion to their
        area.

        generator: on the CPU, whatever the device. Returns float32 `[count, 3, side, side]` in [0, 1], on the
        device.
        """
        which = torch.multinomial(self.areas, count, replacement=True, generator=generator)
        place = torch.rand(count, 3, generator=generator)
        top = (place[:, 0] * (self.heights[which] - side + 1)).long()
        left = (place[:, 1] * (self.widths[which] - side + 1)).long()
        corner = self.offsets[which] + top * self.widths[which] + left
        mirrored = place[:, 2] < 0.5
        device = self.pixels.device
        corner, width, mirrored = (
            to_device(x, device)[:, None] for x in (corner, self.widths[which], mirrored)
        )
        along = torch.arange(side, device=device)
        columns = torch.where(mirrored, side - 1 - along, along)
        picked = self.pixels[(corner + along * width)[:, :, None] + columns[:, None]]
        return picked.permute(0, 3, 1, 2).float().div_(255)


def to_device(x: Tensor, device: torch.device) -> Tensor:
    """Copy a small CPU tensor to `device` without waiting for the device's current work."""
    return x.contiguous().pin_memory().to(device, non_blocking=True) if device.type == "cuda" else x


def load_images(
    folder: Path, minimum_side: int, device: torch.device, *, held_out_side: int | None = None
) -> tuple[ImageSet, ImageSet]:
    """Load all images below `folder`, split into training and validation.

    Images with a side below `minimum_side` are left out. `held_out_side`: the minimum for validation images,
    if it differs. The split depends only on the sorted relative paths: every run holds out the same images.
    Raises `UsageError` when the folder is missing, there are too few images, or some cannot be read. It then
    tries all of them first, and names up to five.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)

    training: dict[Path, tuple[int, int]] = {}
    validation: dict[Path, tuple[int, int]] = {}
    with ThreadPoolExecutor() as pool:
        reading = _Reading(pool)
        sizes = reading.each(_size_of, paths, (0, 0))
        for position, (path, size) in enumerate(zip(paths, sizes, strict=True)):
            held_out = position % VALIDATION_EVERY == 0
            if min(size) >= (held_out_side if held_out and held_out_side else minimum_side):
                (validation if held_out else training)[path] = size
        reading.finish()
        if not training or not validation:
            usable = len(training) + len(validation)
            raise UsageError(
                f"{folder}: too few images: {usable} of {len(paths)} have {minimum_side} pixels or more a "
                f"side; training needs one, and validation another, of the first of every {VALIDATION_EVERY} "
                "files"
            )
        blank = np.zeros((1, 1, 3), np.uint8)  # stands for an image of any size
        first, second = (
            ImageSet(list(part.values()), reading.each(_decoded, part, blank), device)
            for part in (training, validation)
        )
        reading.finish()
    return first, second


class _Reading:
    """Reads files in threads, and goes on where one cannot be read."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._failures: list[str] = []

    def each(self, read: Callable[[Path], _T], paths: Iterable[Path], instead: _T) -> Iterator[_T]:
        """What `read` makes of each file, in order. instead: for files that cannot be read."""

        def tried(path: Path) -> _T:
            try:
                return read(path)
            except UsageError as error:
                self._failures.append(str(error))
                return instead

        return self._pool.map(tried, paths)

    def finish(self) -> None:
        """Raise a `UsageError` that names files that could not be read, if there were any."""
        shown, more = sorted(self._failures)[:_MOST_NAMED], len(self._failures) - _MOST_NAMED
        if shown:
            raise UsageError("; ".join(shown) + (f"; and {more} more" if more > 0 else ""))


def _size_of(path: Path) -> tuple[int, int]:
    """Height and width of an image, from its header."""
    with _opened(path) as image:
        return image.height, image.width


def _decoded(path: Path) -> np.ndarray:
    with _opened(path) as image:
        return np.asarray(image.convert("RGB"))


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An image of 8 bits. Raises `UsageError` for one that cannot be read, also within the context."""
    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):  # Pillow would clip these
                raise ValueError(f"its pixels have more than 8 bits ({image.mode})")
            yield image
    except Exception as error:  # whatever Pillow's decoders raise
        raise UsageError(f"{path}: cannot be read: {reason(error)}") from error


def random_qualities(count: int, limits: tuple[float, float], generator: torch.Generator) -> Tensor:
    """`count` qualities between two limits, float32 `[count]`, on the CPU."""
    low, high = limits
    return low + (high - low) * torch.rand(count, generator=generator)


def random_patches(images: ImageSet, count: int, side: int, generator: torch.Generator) -> Tensor:
    """`count` patches as rows in pixel_unshuffle's channel order, float32 `[count, 3·side²]` in [0, 1]."""
    crops = images.crops(count, side, generator)
    return torch.nn.functional.pixel_unshuffle(crops, side).reshape(count, -1)
