"""Full-reference measures that are fitted to what people see: SSIMULACRA2, Butteraugli, PSNR-HVS-M, VIF.

Measures whose component is missing here are left out, and a note says how to install it.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import correlate1d

from rdpcodec.errors import UsageError
from rdpcodec.metrics.ssimulacra2 import ssimulacra2

# Compares two 8-bit RGB images, `[H, W, 3]`: the original and the decoded one.
Comparison = Callable[[np.ndarray, np.ndarray], float]
# The two for commands that show few: one is fitted to opinions, the other models the eye.
MAIN = ("ssimulacra2", "butteraugli")
# ITU-R BT.601.
_LUMA = np.array([0.299, 0.587, 0.114])
# For VIF: the noise of the eye, in squared 8-bit steps, and what counts as no variance.
_VISUAL_NOISE = 2.0
_NO_VARIANCE = 1e-10


def eye_measures(butteraugli: Path | None = None) -> tuple[dict[str, Comparison], list[str]]:
    """The available measures, by name, and a note on each of the others.

    butteraugli: libjxl's `butteraugli_main`, if it is not on the path. Raises `UsageError` if not a file.
    """
    measures: dict[str, Comparison] = {"ssimulacra2": ssimulacra2, "vif": vif}
    notes = []
    if butteraugli is not None and not butteraugli.is_file():
        raise UsageError(f"{butteraugli}: no such program")
    tool = butteraugli or shutil.which("butteraugli_main")
    if tool:
        measures["butteraugli"] = lambda original, decoded: butteraugli_norm(Path(tool), original, decoded)
    else:
        notes.append(
            "Butteraugli left out: apt-get install libjxl-devtools brings butteraugli_main, "
            "or --butteraugli names it"
        )
    try:
        measures["psnr_hvs_m"] = _psnr_hvs_m()
    except ImportError:
        notes.append("PSNR-HVS-M left out: pip install 'rdpcodec[psnr-hvs-m]' brings it")
    return measures, notes


def luma(image: np.ndarray) -> np.ndarray:
    """BT.601 luma of 8-bit RGB `[H, W, 3]`, 0..255, float64 `[H, W]`."""
    return image @ _LUMA


def butteraugli_norm(tool: Path, original: np.ndarray, decoded: np.ndarray) -> float:
    """Butteraugli's 3-norm by libjxl's program at 80 nits, its default; 0 for equal images.

    Raises `UsageError` if the program fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder, name)) for name in ("original.png", "decoded.png")]
        for path, image in zip(paths, (original, decoded), strict=True):
            Image.fromarray(image).save(path, compress_level=1)
        try:
            run = subprocess.run([tool, *paths], capture_output=True, text=True, check=False)
        except OSError as error:
            raise UsageError(f"{tool}: cannot be run: {error.strerror}") from error
    _, found, rest = run.stdout.partition("3-norm:")
    if run.returncode or not found:
        raise UsageError(f"{tool}: failed on an image: {(run.stderr or run.stdout).strip()[-200:]}")
    return float(rest.split()[0])


def _psnr_hvs_m() -> Comparison:
    """PSNR-HVS-M of luma in dB, at most 100 (Ponomarenko et al. 2007), by the package psnr-hvsm."""
    # The package prints which of its backends it lacks.
    with contextlib.redirect_stdout(io.StringIO()):
        from psnr_hvsm import psnr_hvs_hvsm

    def measure(original: np.ndarray, decoded: np.ndarray) -> float:
        # The package works on blocks of 8×8 and does not see what is left over at the edges.
        height, width = (side // 8 * 8 for side in original.shape[:2])
        pair = (luma(image[:height, :width]) / 255 for image in (original, decoded))
        # It divides by zero for flat blocks, and for equal images, for which it reports 100.
        with np.errstate(divide="ignore", invalid="ignore"):
            return min(100.0, float(psnr_hvs_hvsm(*pair)[1]))

    return measure


def vif(original: np.ndarray, decoded: np.ndarray) -> float:
    """Visual information fidelity of luma in the pixel domain, four scales; 1 for equal images.

    Sheikh & Bovik, Image information and visual quality, 2006, as in the authors' `vifp_mscale`: the share of
    the original's information that is left. NaN if a side is too short for the coarsest scale.
    """
    x, y = luma(original), luma(decoded)
    kept = total = 0.0
    for scale in range(4):
        side = 2 ** (4 - scale) + 1
        if scale:
            x, y = (_windowed(image, side)[::2, ::2] for image in (x, y))
        if min(x.shape) < side:
            return float("nan")
        mean_x, mean_y = _windowed(x, side), _windowed(y, side)
        variance_x = (_windowed(x * x, side) - mean_x**2).clip(min=0)
        variance_y = (_windowed(y * y, side) - mean_y**2).clip(min=0)
        covariance = _windowed(x * y, side) - mean_x * mean_y
        gain = covariance / (variance_x + _NO_VARIANCE)
        gain[(variance_x < _NO_VARIANCE) | (variance_y < _NO_VARIANCE) | (gain < 0)] = 0
        noise = (variance_y - gain * covariance).clip(min=_NO_VARIANCE)
        kept += float(np.log10(1 + gain**2 * variance_x / (noise + _VISUAL_NOISE)).sum())
        total += float(np.log10(1 + variance_x / _VISUAL_NOISE).sum())
    return kept / total if total else 1.0


def _windowed(image: np.ndarray, side: int) -> np.ndarray:
    """Means in Gaussian windows of this side, where they fit; the deviation is a fifth of the side."""
    offsets = np.arange(side) - side // 2
    weights = np.exp(-((5 * offsets / side) ** 2) / 2)
    weights /= weights.sum()
    cut = side // 2
    blurred = correlate1d(correlate1d(image, weights, axis=0), weights, axis=1)
    return blurred[cut : image.shape[0] - cut, cut : image.shape[1] - cut]
