"""The full-reference metrics that targets, `rdpcodec suggest` and the pages use, by name."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from functools import cache

import numpy as np

from rdpcodec.errors import UsageError
from rdpcodec.extras import need
from rdpcodec.metrics import distortion
from rdpcodec.metrics.distortion import MS_SSIM_MINIMUM_SIDE
from rdpcodec.metrics.ssimulacra2 import MINIMUM_SIDE, ssimulacra2

LABELS = {"psnr": "PSNR", "ms_ssim": "MS-SSIM", "ssimulacra2": "SSIMULACRA2", "lpips": "LPIPS"}
LEAST_SIDES = {"psnr": 1, "ms_ssim": MS_SSIM_MINIMUM_SIDE, "ssimulacra2": MINIMUM_SIDE, "lpips": 32}
"""The sides in pixels of the smallest images that each metric is defined for."""
_DECIMALS = 4


@cache
def full_reference(name: str) -> Callable[[np.ndarray, np.ndarray], float]:
    """`psnr`, `ms_ssim`, `ssimulacra2` or `lpips` (with the AlexNet) as a function of original and decoded
    image.

    Both uint8 `[H, W, 3]`; the function's value is not a number for images too small for the metric. Raises
    `UsageError`, which says what to install, when a package or weights are missing.
    """
    if name == "lpips":
        need("torch", "LPIPS", "lpips")  # the extra `torch` alone lacks its weights
        from rdpcodec.metrics.lpips import load_lpips

        return load_lpips("alex").distance
    return {"psnr": distortion.psnr, "ms_ssim": distortion.ms_ssim, "ssimulacra2": ssimulacra2}[name]


class Metrics:
    """The metrics that are available here; `notes` says what to install for each of the others."""

    def __init__(self) -> None:
        """Raises `UsageError` where RDPCODEC_LPIPS names no weights of LPIPS."""
        self.notes: list[str] = []
        self._functions: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {}
        for name in LABELS:
            try:
                self._functions[name] = full_reference(name)
            except UsageError as error:
                if name == "lpips" and os.environ.get("RDPCODEC_LPIPS"):
                    raise  # whoever set it wants LPIPS
                self.notes.append(str(error))

    def __call__(self, reference: np.ndarray, decoded: np.ndarray) -> dict[str, float | None]:
        """All values by name, for two images, uint8 `[H, W, 3]`. None for a metric that is missing, or whose
        value is not finite because the images are too small for it or equal.
        """
        values = {name: function(reference, decoded) for name, function in self._functions.items()}
        return {
            name: round(values[name], _DECIMALS) if math.isfinite(values.get(name, math.nan)) else None
            for name in LABELS
        }

    @property
    def missing(self) -> list[str]:
        """A note on each metric that is not available, for readers who cannot install it."""
        return [f"{LABELS[name]} was not measured." for name in LABELS if name not in self._functions]

    @property
    def labels(self) -> dict[str, str]:
        """What readers call the available metrics, by name."""
        return {name: LABELS[name] for name in self._functions}

    def undefined(self, measured: list[dict[str, float | None]]) -> list[str]:
        """A note on each metric that was available but had no value for some image."""
        lacking = [name for name in self._functions if any(values[name] is None for values in measured)]
        return [f"{LABELS[name]}: not defined for {_undefined_for(name)}" for name in lacking]


def _undefined_for(name: str) -> str:
    """The images that a metric has no finite value for."""
    side = LEAST_SIDES[name]
    return f"images under {side} pixels a side" if side > 1 else "images without any error"
