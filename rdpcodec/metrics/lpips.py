"""LPIPS: how different two images look to the features of a trained network.

Zhang, Isola, Efros, Shechtman & Wang, The Unreasonable Effectiveness of Deep Features as a Perceptual Metric,
CVPR 2018, version 0.1. The networks are plain convolutions written out here, so that training needs no more
than torch; their weights are the canonical ones, from a file or from the `lpips` package.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from rdpcodec.errors import UsageError, reason
from rdpcodec.metrics.pair import check_pair

WEIGHTS_VARIABLE = "RDPCODEC_LPIPS"
MINIMUM_SIDE = 32  # what the networks' strides and poolings need
# `distance` compares squares of an image of this side, read with a margin as wide as features reach. Both are
# multiples of all strides, so that a square's features lie where the image's do. AlexNet's reach 96 pixels
# beyond what they are counted for, SqueezeNet's 112.
SQUARE = 1024
_MARGIN = 128
# The strides of the networks' layers, to a pixel.
_STRIDES = {"alex": (4, 8, 16, 16, 16), "squeeze": (2, 4, 8, 16, 16, 16, 16)}
# From the `lpips` package: inputs in -1..1 to the statistics the backbones were trained with.
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
# SqueezeNet 1.1 from its second slice on: whether a slice begins with pooling, and its fire modules.
_SQUEEZE_SLICES = (
    (True, (3, 4)),
    (True, (6, 7)),
    (True, (9,)),
    (False, (10,)),
    (False, (11,)),
    (False, (12,)),
)


class _Span(NamedTuple):
    """Pixels of one axis whose features are counted, from `first` up to `end`, and those read for them."""

    first: int
    end: int
    read: slice

    def counted(self, stride: int) -> slice:
        """The features of a layer to count, of those made from what was read. At the image's end it is all
        that are left.
        """
        return slice((self.first - self.read.start) // stride, (self.end - self.read.start) // stride)


def _spans(length: int) -> Iterator[_Span]:
    """Spans of `SQUARE` pixels; the last one ends with the image."""
    for first in range(0, length, SQUARE):
        end = first + SQUARE
        yield _Span(first, end, slice(max(first - _MARGIN, 0), min(end + _MARGIN, length)))


class _Known(NamedTuple):
    """A square of an original, uint8 `[h, w, 3]`, and its features."""

    square: np.ndarray
    features: list[Tensor]


class Lpips(nn.Module):
    """LPIPS with an AlexNet (`alex`) or a SqueezeNet 1.1 (`squeeze`). The weights are never trained."""

    shift: Tensor
    scale: Tensor
    _last: _Known | None = None

    def __init__(self, network: str, tensors: dict[str, Tensor]) -> None:
        """tensors: named as in the `lpips` package's state dict. Raises `KeyError` if one is missing."""
        super().__init__()
        self.network = network
        names = [name for name in tensors if name.startswith("net.")]
        names += [f"lin{i}.model.1.weight" for i in range(len(_STRIDES[network]))]
        for name in names:
            self.register_buffer(_plain(name), tensors[name].float(), persistent=False)
        for name, values in (("shift", _SHIFT), ("scale", _SCALE)):
            each = torch.tensor(values, dtype=torch.float32)[:, None, None]  # whatever the default dtype
            self.register_buffer(name, each, persistent=False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x, y: `[B, 3, H, W]`, sRGB in [0, 1], sides of 32 or more → LPIPS `[B]`, 0 where equal."""
        return self.between(*self._features_of_both(torch.cat([x, y])))

    def features(self, x: Tensor) -> list[Tensor]:
        """`[B, 3, H, W]`, as `forward` takes it → each layer's features, of unit length at every position."""
        x = (2 * x - 1 - self.shift) / self.scale
        layers = self._alex(x) if self.network == "alex" else self._squeeze(x)
        return [_unit_length(layer.float()) for layer in layers]

    def between(self, first: list[Tensor], second: list[Tensor]) -> Tensor:
        """LPIPS `[B]` of images whose `features` are known: a reference's need computing only once."""
        total = torch.zeros(len(first[0]), device=first[0].device)
        for differences in self._differences(first, second):
            total = total + differences.mean((1, 2, 3))
        return total

    @torch.inference_mode()
    def distance(self, reference: np.ndarray, decoded: np.ndarray) -> float:
        """LPIPS of two images, uint8 `[H, W, 3]`; not a number where a side is under 32 pixels.

        Large images are compared square by square, which gives the same in bounded memory. The features of
        the last square of a reference are kept, so that a series of images compared with a small one takes
        half the time. Raises `UsageError` for arrays of other types, or of different shapes.
        """
        check_pair(reference, decoded)
        height, width = reference.shape[:2]
        if min(height, width) < MINIMUM_SIDE:
            return float("nan")
        strides = _STRIDES[self.network]
        sums, counts = np.zeros(len(strides)), np.zeros(len(strides))
        for rows, columns in product(_spans(height), _spans(width)):
            squares = [image[rows.read, columns.read] for image in (reference, decoded)]
            differences = self._differences(*self._features_of_squares(*squares))
            for number, (stride, all_of_them) in enumerate(zip(strides, differences, strict=True)):
                counted = all_of_them[0, 0, rows.counted(stride), columns.counted(stride)]
                sums[number] += float(counted.sum(dtype=torch.float64))
                counts[number] += counted.numel()
        return float((sums / counts).sum())

    def _features_of_squares(
        self, reference: np.ndarray, decoded: np.ndarray
    ) -> tuple[list[Tensor], list[Tensor]]:
        known = self._last  # read once: other threads may replace it
        if (
            known
            and known.features[0].device == self.shift.device
            and np.array_equal(known.square, reference)
        ):
            return known.features, self.features(self._input(decoded))
        features = self._features_of_both(self._input(reference, decoded))
        self._last = _Known(reference.copy(), [layer.clone() for layer in features[0]])
        return features

    def _input(self, *images: np.ndarray) -> Tensor:
        """uint8 `[H, W, 3]` each → what `features` takes."""
        batch = torch.from_numpy(np.stack(images)).to(self.shift.device)
        return batch.permute(0, 3, 1, 2).float() / 255

    def _features_of_both(self, pair: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Features of the first and of the second half of a batch, in one pass: for small images, the cost of
        starting each layer dominates.
        """
        halves = [layer.chunk(2) for layer in self.features(pair)]
        return [first for first, _ in halves], [second for _, second in halves]

    def _differences(self, first: list[Tensor], second: list[Tensor]) -> Iterator[Tensor]:
        """Each layer's weighted squared differences, `[B, 1, h, w]`."""
        for number, (a, b) in enumerate(zip(first, second, strict=True)):
            yield F.conv2d((a - b).square(), self._tensor(f"lin{number}.model.1.weight"))

    def _alex(self, x: Tensor) -> list[Tensor]:
        features = [F.relu(self._conv(x, "net.slice1.0", stride=4, padding=2))]
        for name, pool, padding in (
            ("2.3", True, 2),
            ("3.6", True, 1),
            ("4.8", False, 1),
            ("5.10", False, 1),
        ):
            x = F.max_pool2d(features[-1], 3, 2) if pool else features[-1]
            features.append(F.relu(self._conv(x, f"net.slice{name}", padding=padding)))
        return features

    def _squeeze(self, x: Tensor) -> list[Tensor]:
        features = [F.relu(self._conv(x, "net.slices.0.0", stride=2))]
        for i, (pool, fires) in enumerate(_SQUEEZE_SLICES, 1):
            x = F.max_pool2d(features[-1], 3, 2, ceil_mode=True) if pool else features[-1]
            for fire in fires:
                x = F.relu(self._conv(x, f"net.slices.{i}.{fire}.squeeze"))
                narrow = self._conv(x, f"net.slices.{i}.{fire}.expand1x1")
                wide = self._conv(x, f"net.slices.{i}.{fire}.expand3x3", padding=1)
                x = F.relu(torch.cat([narrow, wide], 1))
            features.append(x)
        return features

    def _conv(self, x: Tensor, name: str, stride: int = 1, padding: int = 0) -> Tensor:
        return F.conv2d(x, self._tensor(f"{name}.weight"), self._tensor(f"{name}.bias"), stride, padding)

    def _tensor(self, name: str) -> Tensor:
        tensor: Tensor = getattr(self, _plain(name))
        return tensor


def _unit_length(features: Tensor) -> Tensor:
    return features / (features.square().sum(1, keepdim=True) + 1e-12).sqrt()


def _plain(name: str) -> str:
    """A name that a buffer may have."""
    return name.replace(".", "_")


def load_lpips(network: str, path: Path | None = None) -> Lpips:
    """LPIPS with the canonical weights.

    network: `alex` (the metric) or `squeeze` (what training uses). path: a safetensors file of the network,
    or a folder with `lpips-<network>.safetensors`; otherwise the environment variable `RDPCODEC_LPIPS` names
    one of the two; otherwise the `lpips` package is asked, which downloads the backbone. Raises `UsageError`
    when none of them has the weights.
    """
    if network not in _STRIDES:
        raise UsageError(f"LPIPS network {network!r}: must be one of {', '.join(_STRIDES)}")
    if path is None and os.environ.get(WEIGHTS_VARIABLE):
        path = Path(os.environ[WEIGHTS_VARIABLE])
    if path is None:
        return Lpips(network, _package_weights(network))
    if os.path.isdir(path):
        path = path / f"lpips-{network}.safetensors"
    try:
        lpips = Lpips(network, load_file(path))
        lpips(*torch.zeros(2, 1, 3, MINIMUM_SIDE, MINIMUM_SIDE, dtype=torch.float32))  # of another network?
    except (OSError, SafetensorError, KeyError, AttributeError, RuntimeError) as error:
        raise UsageError(f"{path}: no weights of LPIPS-{network}: {reason(error)}") from error
    return lpips


def _package_weights(network: str) -> dict[str, Tensor]:
    advice = (
        f"pip install 'rdpcodec[lpips]' downloads its weights; or install torch, and let {WEIGHTS_VARIABLE} "
        "name a file of them"
    )
    try:
        import lpips
    except ImportError as error:
        raise UsageError(f"LPIPS-{network} is not available: {advice}") from error
    try:
        return lpips.LPIPS(net=network, verbose=False).state_dict()
    except Exception as error:  # whatever torchvision or the network raises
        raise UsageError(f"LPIPS-{network}: the lpips package failed ({error}): {advice}") from error
