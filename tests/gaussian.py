"""A surface with known answers: a Gaussian source, squared error, and the squared Wasserstein distance.

At unit variance and rate R, the least mean squared error is d = 2^(−2R). The decoder that reaches it makes
images of standard deviation s = √(1 − d). Stretched by a gain g, g = 1 … 1/s, these images have the error
1 + g²s² − 2gs² and the distance (1 − gs)². This is the rate-distortion-perception function (Zhang, Qian,
Chen & Khisti 2021).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

QUALITIES = (5.0, 20.0, 40.0, 60.0, 80.0)
REALISMS = (0.0, 0.25, 0.5, 0.75, 1.0)
BPP = np.array([0.08, 0.15, 0.3, 0.6, 1.2])
# SAMPLES: bits per sample in a bit per pixel. FLOOR, SLOPE: make a distance a measure that is never zero.
SAMPLES = 2.0
FLOOR, SLOPE = 0.02, 0.5


def unit(bpp: np.ndarray, realism: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squared error and squared Wasserstein distance of a source of variance one."""
    d = 2 ** (-2 * SAMPLES * bpp)
    s = np.sqrt(1 - d)
    gain = 1 + realism * (1 / s - 1)
    return 1 + gain**2 * s**2 - 2 * gain * s**2, (1 - gain * s) ** 2


def record(
    images: int = 8, realisms: tuple[float, ...] | None = REALISMS, seed: int = 0, **changes: Any
) -> dict[str, Any]:
    """What `bench measure surface` would store, or `bench measure peers` for realisms None.

    changes: mse and bpp are factors, `[Q, B]` or numbers; any other key replaces that of the record.
    """
    error_factor, rate_factor = changes.pop("mse", 1.0), changes.pop("bpp", 1.0)
    dial = np.array(realisms or (0.0,))
    bpp = np.broadcast_to(BPP[:, None], (len(BPP), len(dial))) * rate_factor
    mse, distance = unit(BPP[:, None], dial[None])
    mse, perception = mse * error_factor, FLOOR + SLOPE * distance
    variances = np.random.default_rng(seed).uniform(300, 900, images)
    keys = {
        (i, b): f"{q:g}" if realisms is None else f"{q:g}/{dial[b]:g}"
        for i, q in enumerate(QUALITIES)
        for b in range(len(dial))
    }
    rows = {
        f"{number:02}.png": {
            key: {
                "bytes": round(bpp[at] * 4096),
                "bpp": bpp[at],
                "mse": variance * mse[at],
                "psnr": 10 * np.log10(255**2 / (variance * mse[at])),
                "ms_ssim": 1 - 0.2 * mse[at],
                "lpips_alex": perception[at],
            }
            for at, key in keys.items()
        }
        for number, variance in enumerate(variances)
    }
    points = {
        key: {
            "quality": QUALITIES[at[0]],
            **({} if realisms is None else {"realism": dial[at[1]]}),
            "kernel": perception[at] - FLOOR,
            "frechet": 100 * perception[at],
            "standard_errors": {"kernel": 1e-4, "frechet": 0.01},
        }
        for at, key in keys.items()
    }
    base = {"name": "rdpcodec", "description": "a Gaussian source", "data": "gaussian", "measures": 2}
    return {**base, **changes, "points": points, "images": rows}


def write(folder: Path, **options: Any) -> Path:
    """Write a record as `<name>.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    made = record(**options)
    path = folder / f"{made['name']}.json"
    path.write_text(json.dumps(made))
    return path
