"""BD-rates of runs against the first one, on held-out crops of the training pictures.

python judge.py DATA LPIPS_ALEX RUN…   each RUN a folder with checkpoint.pt, or weights (.safetensors)

Needs `pip install --no-deps piqa psnr-hvsm` and Debian's libjxl-devtools (butteraugli_main). Rates are the
model's own, of latents rounded as the encoder rounds them; pixels are rounded to eight bits.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import torch
from PIL import Image
from scipy.interpolate import PchipInterpolator

# piqa imports it for networks that are not used here.
for module in ("torchvision", "torchvision.models", "torchvision.models.inception"):
    sys.modules[module] = MagicMock()

import piqa  # type: ignore[import-not-found] # noqa: E402
from psnr_hvsm import psnr_hvs_hvsm  # type: ignore[import-not-found] # noqa: E402

from distortions import ms_ssim_distortion  # noqa: E402
from rdpcodec.metrics.eyes import ssimulacra2_distortion, ssimulacra2_score  # noqa: E402
from rdpcodec.metrics.lpips import load_lpips  # noqa: E402
from rdpcodec.training.data import SUFFIXES, VALIDATION_EVERY, ImageSet  # noqa: E402
from rdpcodec.training.start import load_start  # noqa: E402

QUALITIES = (5.0, 25.0, 45.0, 65.0, 85.0)
SIDE = 384
# +1 where more is better.
MEASURES = {
    "psnr": 1,
    "ssimulacra2": 1,
    "psnr_hvs_m": 1,
    "ms_ssim_xyb": 1,
    "haarpsi": 1,
    "butteraugli_3": -1,
    "butteraugli_max": -1,
    "lpips_alex": -1,
}


def held_out(data: Path) -> torch.Tensor:
    """A crop `[3, SIDE, SIDE]` of each picture that training holds out."""
    paths = sorted(path for path in data.rglob("*") if path.suffix.lower() in SUFFIXES)
    arrays = [np.asarray(Image.open(path).convert("RGB")) for path in paths[::VALIDATION_EVERY]]
    generator, cpu = torch.Generator().manual_seed(2), torch.device("cpu")
    large = [array for array in arrays if min(array.shape[:2]) >= SIDE]
    return torch.cat([ImageSet([array], cpu).crops(1, SIDE, generator) for array in large])


def butteraugli(reference: np.ndarray, decoded: np.ndarray) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        files = [f"{folder}/{name}.png" for name in ("reference", "decoded")]
        for array, file in zip((reference, decoded), files, strict=True):
            Image.fromarray(array).save(file)
        command = ["butteraugli_main", *files]
        words = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(words[0]), float(words[-1])


@torch.no_grad()
def measure(run: Path, crops: torch.Tensor, lpips: torch.nn.Module) -> list[dict[str, list[float]]]:
    model = load_start(run / "checkpoint.pt" if run.is_dir() else run).model.eval()
    haarpsi = piqa.HaarPSI(reduction="none")
    rows = []
    for quality in QUALITIES:
        row: dict[str, list[float]] = {name: [] for name in ("bpp", *MEASURES)}
        for x in crops.split(1):
            output = model(x, torch.full((1,), quality), by_rate=True)
            y = (output.reconstruction.clamp(0, 1) * 255).round() / 255
            pixels = [(z[0] * 255).round().byte().permute(1, 2, 0).numpy() for z in (x, y)]
            luminance = [np.array(Image.fromarray(p).convert("L"), dtype=np.float64) / 255 for p in pixels]
            largest, three = butteraugli(*pixels)
            values = {
                "bpp": float(output.latent_bits + output.hyper_bits) / SIDE**2,
                "psnr": float(-10 * (y - x).square().mean().log10()),
                "ssimulacra2": float(ssimulacra2_score(ssimulacra2_distortion(x, y))),
                "psnr_hvs_m": float(psnr_hvs_hvsm(*luminance)[1]),
                "ms_ssim_xyb": float(-10 * ms_ssim_distortion(x, y).log10()),
                "haarpsi": float(haarpsi(x, y)),
                "butteraugli_3": three,
                "butteraugli_max": largest,
                "lpips_alex": float(lpips(x, y)),
            }
            for name, value in values.items():
                row[name].append(value)
        rows.append(row)
    return rows


def curve(rows: list[dict[str, list[float]]], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean log rates and mean values; as geometric means of rates, crops keep their weight."""
    return np.array([np.log(row["bpp"]).mean() for row in rows]), np.array(
        [MEASURES[name] * np.mean(row[name]) for row in rows]
    )


def bd_rate(anchor: list[dict[str, list[float]]], test: list[dict[str, list[float]]], name: str) -> float:
    """In per cent."""
    (rate, value), (other_rate, other_value) = curve(anchor, name), curve(test, name)
    common = max(value.min(), other_value.min()), min(value.max(), other_value.max())
    grid = np.linspace(*common, 400)
    difference = PchipInterpolator(other_value, other_rate)(grid) - PchipInterpolator(value, rate)(grid)
    return 100 * (float(np.exp(difference.mean())) - 1)


def main(data: str, lpips_alex: str, *runs: str) -> None:
    torch.set_num_threads(1)
    crops, lpips = held_out(Path(data)), load_lpips("alex", Path(lpips_alex))
    measured = {run: measure(Path(run), crops, lpips) for run in runs}
    for run, rows in measured.items():
        rates = {name: round(bd_rate(measured[runs[0]], rows, name), 1) for name in MEASURES}
        print(json.dumps({"run": run, "bd_rate_per_cent": rates}))


main(*sys.argv[1:])
