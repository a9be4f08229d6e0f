"""Perception as Blau & Michaeli define it: a distance between distributions of images.

Fréchet distance and kernel distance compare features of patches, the sliced Wasserstein distance compares
pixels at several scales. All of them compare two *sets*; an image alone has no such distance. Small sets
overstate the Fréchet distance. The kernel distance leaves out pairs from one image and may be negative.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from rdpcodec.errors import UsageError

PATCH_SIDE = 256
# Settings of the sliced Wasserstein distance (Karras et al. 2018, section 5).
_NEIGHBOURHOOD = 7
_PROJECTIONS = 512
_SMALLEST_LEVEL = 16


def image_patches(image: Tensor, side: int = PATCH_SIDE) -> Tensor:
    """The patches of an image that the perception of codecs is measured on (Mentzer et al. 2020, A.7).

    image: `[3, H, W]` → `[n, 3, side, side]`: all that fit on a grid from the top left corner, and on a grid
    that starts half a side further in both directions. n is 0 if the image is smaller than a patch.
    """
    grids = [image, image[:, side // 2 :, side // 2 :]]
    patches = []
    for grid in grids:
        rows, columns = grid.shape[1] // side, grid.shape[2] // side
        cut = grid[:, : rows * side, : columns * side].reshape(3, rows, side, columns, side)
        patches.append(cut.permute(1, 3, 0, 2, 4).reshape(-1, 3, side, side))
    return torch.cat(patches)


def frechet_distance(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Squared Fréchet distance between Gaussians fitted to two sets of features `[n, d]` and `[m, d]`.

    |μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2·(Σ₁Σ₂)^½) (Heusel et al. 2017, equation 6). Needs two features in each set.
    """
    a, b = _two_sets(first, second)
    centred_a = (a - a.mean(0)) / np.sqrt(len(a) - 1)
    centred_b = (b - b.mean(0)) / np.sqrt(len(b) - 1)
    # With Σ = XᵀX = RᵀR, tr (Σ₁Σ₂)^½ is the sum of the singular values of R₁R₂ᵀ. This avoids the root of a
    # matrix that may be singular.
    first_r, second_r = (np.asarray(np.linalg.qr(x, mode="r")) for x in (centred_a, centred_b))
    cross = np.linalg.svd(first_r @ second_r.T, compute_uv=False).sum()
    means = np.square(a.mean(0) - b.mean(0)).sum()
    return float(means + np.square(centred_a).sum() + np.square(centred_b).sum() - 2 * cross)


def kernel_distance(
    first: NDArray[np.floating],
    second: NDArray[np.floating],
    images: tuple[NDArray[np.integer], NDArray[np.integer]] | None = None,
) -> float:
    """Squared maximum mean discrepancy of features `[n, d]` and `[m, d]`, without pairs of one image.

    images: for each feature, the number of its image, `[n]` and `[m]`; equal numbers in both sets mark an
    original and its decoded image. Pairs with equal numbers are left out of all three sums: they are not
    independent draws, and would make a copy better than perfect. A set thus has distance 0 from itself.
    Without numbers, every feature counts as a different image. Kernel (x·y/d + 1)³ (Bińkowski et al. 2018,
    section 4). Raises `UsageError` for sets of fewer than two images.
    """
    a, b = _two_sets(first, second)
    if images is None:
        images = np.arange(len(a)), np.arange(len(a), len(a) + len(b))
    if min(len(np.unique(numbers)) for numbers in images) < 2:
        raise UsageError("the kernel distance needs at least two images in each set")

    def mean_kernel(one: int, other: int) -> float:
        x, y = (a, b)[one], (a, b)[other]
        apart = images[one][:, None] != images[other]
        return float(((x @ y.T / x.shape[1] + 1) ** 3)[apart].mean())

    return mean_kernel(0, 0) + mean_kernel(1, 1) - 2 * mean_kernel(0, 1)


def _two_sets(
    first: NDArray[np.floating], second: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if min(len(first), len(second)) < 2:
        raise UsageError("a distance between distributions needs at least two features in each set")
    return np.asarray(first, np.float64), np.asarray(second, np.float64)


def pyramid_neighbourhoods(image: Tensor, count: int = 128, seed: int = 0) -> list[Tensor]:
    """Random neighbourhoods of an image on each level of its Laplacian pyramid, finest first.

    image: `[3, H, W]`, sides of 16 or more → `[count, 3, 7, 7]` for each level. With the same `seed`, images
    of the same size are sampled at the same places.
    """
    generator = torch.Generator().manual_seed(seed)
    span = torch.arange(_NEIGHBOURHOOD)
    neighbourhoods = []
    for band in laplacian_pyramid(image):
        room = torch.tensor(band.shape[1:]) - _NEIGHBOURHOOD + 1
        corner = (torch.rand(count, 2, generator=generator) * room).long()
        rows = (corner[:, 0, None] + span)[:, :, None]
        columns = (corner[:, 1, None] + span)[:, None, :]
        neighbourhoods.append(band[:, rows, columns].transpose(0, 1))
    return neighbourhoods


def random_directions(dimensions: int, count: int, seed: int = 0) -> Tensor:
    """Unit vectors drawn uniformly, `[dimensions, count]`."""
    drawn = torch.randn(dimensions, count, generator=torch.Generator().manual_seed(seed))
    return drawn / drawn.norm(dim=0)


def sliced_wasserstein(first: Tensor, second: Tensor) -> float:
    """Sliced Wasserstein-1 distance of two sets of equally many points, from their projections `[N, K]`.

    Mean over directions of the exact distance on a line, the difference of sorted values (Rabin et al. 2011).
    In units of one direction. Two sets drawn from one law are not at 0 but at about 1/√N of their spread.
    """
    return float(np.abs(_sorted_columns(first) - _sorted_columns(second)).mean(dtype=np.float64))


def _sorted_columns(points: Tensor) -> NDArray[np.floating]:
    """Each column of `[N, K]` in order, as rows `[K, N]`: NumPy sorts these in a fifth of the time."""
    rows = np.ascontiguousarray(points.detach().cpu().numpy().T)
    rows.sort(axis=1)
    return rows


def pyramid_distances(first: list[list[Tensor]], second: list[list[Tensor]]) -> list[float]:
    """Sliced Wasserstein distance between two sets of images, for each level of the pyramid, finest first.

    first, second: the `pyramid_neighbourhoods` of each image, originals first. Both are normalised per
    channel by the originals' mean and deviation, so that faded detail counts, and projected on random
    directions. The distance is given times 10³ (after Karras, Aila, Laine & Lehtinen 2018, section 5, who
    normalise each set by itself). Levels that not every image has are left out. No network is needed.
    """
    if not first or len(first) != len(second):
        raise UsageError("the sliced Wasserstein distance needs two sets of equally many images")
    distances = []
    for level in range(min(map(len, first))):
        a, b = (torch.cat([image[level] for image in images]) for images in (first, second))
        deviation = a.std((0, 2, 3), keepdim=True).clamp(min=1e-8)
        a, b = (((x - a.mean((0, 2, 3), keepdim=True)) / deviation).flatten(1) for x in (a, b))
        directions = random_directions(a.shape[1], _PROJECTIONS, seed=level)
        distances.append(1e3 * sliced_wasserstein(a @ directions, b @ directions))
    return distances


def band_energies(image: Tensor) -> list[float]:
    """Mean squares of the bands of the Laplacian pyramid of `[3, H, W]`, finest first, without the rest."""
    return [float(band.square().mean()) for band in laplacian_pyramid(image)[:-1]]


def laplacian_pyramid(image: Tensor) -> list[Tensor]:
    """Bands of an image `[3, H, W]`, finest first; the last one is the low-pass rest."""
    binomial = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0])
    kernel = (binomial[:, None] * binomial / 256).expand(3, 1, 5, 5)
    bands = []
    x = image[None]
    while min(x.shape[2:]) >= 2 * _SMALLEST_LEVEL:
        down = F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), kernel, stride=2, groups=3)
        up = x.new_zeros(1, 3, 2 * down.shape[2], 2 * down.shape[3])
        up[:, :, ::2, ::2] = down
        up = F.conv2d(F.pad(up, (2, 2, 2, 2), mode="reflect"), 4 * kernel, groups=3)
        bands.append((x - up[:, :, : x.shape[2], : x.shape[3]])[0])
        x = down
    return [*bands, x[0]]
