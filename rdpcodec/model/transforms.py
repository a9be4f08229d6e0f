"""Analysis (image → latents) and synthesis (latents → image).

Each is a stack of blocks at 1/8 and 1/16 of the resolution with a linear bypass beside it: a 16×16 Haar
transform. This alone is already a transform codec, so the network only has to learn what a linear transform
cannot do. Gated models have another bypass beside the blocks at 1/16, from scale to scale (Li et al., On
Disentangled Training for Nonlinear Transform in Learned Image Compression, 2025). Both are trained with the
rest.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rdpcodec.format.tiles import PATCH
from rdpcodec.model.blocks import Downsample, Pointwise, Upsample, blocks, haar_down, haar_up
from rdpcodec.model.rate import LAMBDA_MIDDLE, RateGain
from rdpcodec.weights.architecture import Architecture

PATCH_VALUES = 3 * PATCH**2
# High-rate theory: step² = 12·D and D'(R) = -2 ln 2·D give step² = 18/(λ ln 2) for three colours; in units of
# pixels 0..255.
STEP_MIDDLE = (18 / (LAMBDA_MIDDLE * np.log(2))) ** 0.5


def haar_basis(patches: np.ndarray, components: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean of image patches, and the rows of a two-dimensional Haar transform in which they vary most.

    The transform goes along rows and columns of a patch, and over luma and two colour differences.

    patches: float `[n, 768]`, pixel_unshuffle(16)'s channel order, pixels in [0, 1].
    Returns the mean `[768]` and an orthonormal basis `[components, 768]`, ordered by falling variance.
    """
    haar = np.ones((1, 1))
    while len(haar) < PATCH:
        smooth = np.kron(haar, [1, 1])
        haar = np.concatenate([smooth, np.kron(np.eye(len(haar)), [1, -1])]) / np.sqrt(2)
    colour = np.array([[1, 1, 1], [1, 0, -1], [-1, 2, -1]], float)
    colour /= np.linalg.norm(colour, axis=1, keepdims=True)
    basis = np.kron(colour, np.kron(haar, haar))
    mean = patches.mean(axis=0)
    variance = np.var((patches - mean) @ basis.T, axis=0)
    return mean, np.ascontiguousarray(basis[np.argsort(-variance)[:components]])


class AnalysisFeatures(NamedTuple):
    """What all qualities of an image share: `[B, C, H/8, W/8]` before the first gain, and the bypass's
    `[B, N, H/16, W/16]`.
    """

    eighth: Tensor
    bypass: Tensor


class Analysis(nn.Module):
    """Image → latents, scaled so that rounding them is the right quantisation for the quality."""

    def __init__(self, size: Architecture) -> None:
        super().__init__()
        self.enter = Downsample(3, size.eighth, factor=8)
        self.eighth = blocks(size.eighth, size.analysis_blocks[0], gated=size.gated)
        self.eighth_gain = RateGain(size.eighth)
        self.down = Downsample(size.eighth, size.sixteenth)
        self.sixteenth = blocks(size.sixteenth, size.analysis_blocks[1], gated=size.gated)
        self.shortcut = haar_down(size.eighth, size.sixteenth) if size.gated else None
        self.sixteenth_gain = RateGain(size.sixteenth)
        self.leave = Pointwise(size.sixteenth, size.latents, init=0.1, full_precision=True)
        # An orthonormal row has entries of 768^-1/2; stored at order one, and in units of the middle step.
        self.bypass = Pointwise(
            PATCH_VALUES, size.latents, gain=255 / STEP_MIDDLE * PATCH_VALUES**-0.5, full_precision=True
        )
        self.gain = RateGain(size.latents, exponent=0.5)

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        """x: `[B, 3, H, W]`, sRGB in [0, 1], sides multiples of 16; quality `[B]` → `[B, N, H/16, W/16]`."""
        return self.latents(self.features(x), quality)

    def features(self, x: Tensor) -> AnalysisFeatures:
        """The part that does not depend on the quality: everything before the first gain, and the bypass."""
        x = x - 0.5
        return AnalysisFeatures(self.eighth(self.enter(x)), self.bypass(F.pixel_unshuffle(x, PATCH)))

    def latents(self, features: AnalysisFeatures, quality: Tensor) -> Tensor:
        """The part that depends on the quality; `features` stay unchanged, for any number of qualities."""
        h = self.eighth_gain(features.eighth, quality)
        deeper = self.sixteenth(self.down(h))
        if self.shortcut is not None:
            deeper = deeper + self.shortcut(h)
        h = self.sixteenth_gain(deeper, quality)
        return self.gain(self.leave(h) + features.bypass, quality)


class Synthesis(nn.Module):
    """Latents → image: the mirror of the analysis. Its output is not clamped to [0, 1]."""

    def __init__(self, size: Architecture) -> None:
        super().__init__()
        self.gain = RateGain(size.latents, exponent=-0.5)
        self.enter = Pointwise(size.latents, size.sixteenth)
        self.sixteenth_gain = RateGain(size.sixteenth)
        self.sixteenth = blocks(size.sixteenth, size.synthesis_blocks[1], gated=size.gated)
        self.up = Upsample(size.sixteenth, size.eighth)
        self.shortcut = haar_up(size.sixteenth, size.eighth) if size.gated else None
        self.eighth_gain = RateGain(size.eighth)
        self.eighth = blocks(size.eighth, size.synthesis_blocks[0], gated=size.gated)
        self.leave = Upsample(size.eighth, 3, factor=8, init=0.002)
        self.bypass = Pointwise(
            size.latents, PATCH_VALUES, gain=STEP_MIDDLE / 255 * PATCH_VALUES**-0.5, full_precision=True
        )

    def forward(self, y: Tensor, quality: Tensor) -> Tensor:
        """y: `[B, N, h, w]`, quantised latents; quality `[B]` → `[B, 3, 16·h, 16·w]`, sRGB, about [0, 1]."""
        y = self.gain(y, quality)
        h = self.sixteenth_gain(self.enter(y), quality)
        wider = self.up(self.sixteenth(h))
        if self.shortcut is not None:
            wider = wider + self.shortcut(h)
        h = self.eighth(self.eighth_gain(wider, quality))
        return self.leave(h) + F.pixel_shuffle(self.bypass(y), PATCH) + 0.5


@torch.no_grad()
def start_from_basis(analysis: Analysis, synthesis: Synthesis, mean: np.ndarray, basis: np.ndarray) -> None:
    """Set both bypasses to an orthonormal basis (`haar_basis`): the untrained model is a transform codec."""
    rows = torch.as_tensor(basis, dtype=torch.float32)
    offset = torch.as_tensor(mean - 0.5, dtype=torch.float32)
    encoding, decoding = analysis.bypass.bias, synthesis.bypass.bias
    assert encoding is not None, "a bypass has a bias"
    assert decoding is not None, "a bypass has a bias"
    analysis.bypass.weight.copy_(rows * PATCH_VALUES**0.5)
    encoding.copy_(-(rows @ offset) * PATCH_VALUES**0.5)
    synthesis.bypass.weight.copy_(rows.T * PATCH_VALUES**0.5)
    decoding.copy_(offset / synthesis.bypass.gain)
