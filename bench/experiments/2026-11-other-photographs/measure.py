"""BD-rates against AVIF (speed 6, 4:4:4) of held-out crops whose colours have been changed.

python measure.py IMAGES OUT.json [psnr|ssimulacra2]

IMAGES: the training images, every 40th of which is held out. Bytes are those of real files.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageEnhance
from scipy.interpolate import PchipInterpolator

from rdpcodec import Codec
from rdpcodec.metrics.eyes import ssimulacra2_distortion, ssimulacra2_score

Measure = Callable[[Image.Image, Image.Image], float]
QUALITIES = (5, 15, 25, 35, 45, 55, 65, 75, 85)
AVIF_QUALITIES = (15, 25, 35, 45, 55, 65, 75, 82, 88)


def lit(image: Image.Image, red: float, green: float, blue: float) -> Image.Image:
    """As if in coloured light."""
    pixels = np.asarray(image, float) * (red, green, blue)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "none": lambda image: image,
    "saturation 1.8": lambda image: ImageEnhance.Color(image).enhance(1.8),
    "saturation 0.3": lambda image: ImageEnhance.Color(image).enhance(0.3),
    "red light": lambda image: lit(image, 1.1, 0.45, 0.45),
    "blue light": lambda image: lit(image, 0.45, 0.6, 1.1),
    "green, blue, red": lambda image: Image.fromarray(np.asarray(image)[..., [1, 2, 0]]),
}


def psnr(x: Image.Image, y: Image.Image) -> float:
    return float(-10 * np.log10(np.mean((np.asarray(x, float) - np.asarray(y, float)) ** 2) / 255**2))


def ssimulacra2(x: Image.Image, y: Image.Image) -> float:
    one, other = (torch.from_numpy(np.array(z)).permute(2, 0, 1)[None].float() / 255 for z in (x, y))
    return float(ssimulacra2_score(ssimulacra2_distortion(one, other)))


def curve(points: Iterable[tuple[int, Image.Image]], x: Image.Image, measure: Measure) -> np.ndarray:
    """Values and log rates, by rising value."""
    found = np.array([(measure(x, y), np.log(8 * size / (x.width * x.height))) for size, y in points])
    return found[np.argsort(found[:, 0])]


def bd_rate(anchor: np.ndarray, test: np.ndarray) -> float:
    """In per cent."""
    grid = np.linspace(max(anchor[0, 0], test[0, 0]), min(anchor[-1, 0], test[-1, 0]), 300)
    one, other = (PchipInterpolator(*rows.T)(grid) for rows in (anchor, test))
    return 100 * (float(np.exp((other - one).mean())) - 1)


def ours(codec: Codec, x: Image.Image) -> Iterable[tuple[int, Image.Image]]:
    for quality in QUALITIES:
        data = codec.compress(x, quality)
        yield len(data), codec.decompress(data, realism=0)


def avif(x: Image.Image) -> Iterable[tuple[int, Image.Image]]:
    for quality in AVIF_QUALITIES:
        file = io.BytesIO()
        x.save(file, "AVIF", quality=quality, speed=6, subsampling="4:4:4")
        yield file.tell(), Image.open(file).convert("RGB")


def crops(images: Path) -> Iterable[Image.Image]:
    """The middle of each held-out image that is large enough."""
    for path in sorted(p for p in images.rglob("*") if p.suffix.lower() in (".jpg", ".png", ".webp"))[::40]:
        image = Image.open(path).convert("RGB")
        width, height = (448, 320) if image.width >= image.height else (320, 448)
        if image.width >= width and image.height >= height:
            left, top = (image.width - width) // 2, (image.height - height) // 2
            yield image.crop((left, top, left + width, top + height))


def main(images: str, out: str, name: str = "psnr") -> None:
    torch.set_num_threads(1)
    codec, measure = Codec(), {"psnr": psnr, "ssimulacra2": ssimulacra2}[name]
    found: dict[str, list[float]] = {change: [] for change in CHANGES}
    for crop in crops(Path(images)):
        for change, changed in CHANGES.items():
            x = changed(crop)
            pair = curve(avif(x), x, measure), curve(ours(codec, x), x, measure)
            found[change].append(round(bd_rate(*pair), 2))
    for change, rates in found.items():
        error = np.std(rates, ddof=1) / len(rates) ** 0.5
        print(f"{change}: {np.mean(rates):.1f} ± {error:.1f} ({len(rates)} crops)")
    Path(out).write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
