"""What rules for automatic realism cost and win by measures for eyes, on photographs that training holds out.

python measure.py DATA LPIPS_ALEX OUT.json [IMAGES]   IMAGES: only so many
python measure.py OUT.json                            the tables of what was measured
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[3]))

from bench.codecs import weights_identity
from bench.measure.full_reference import eye_measures
from rdpcodec import Codec
from rdpcodec.format.container import bits_per_pixel
from rdpcodec.encoder.auto_realism import DetailMatch
from rdpcodec.metrics.distortion import psnr
from rdpcodec.metrics.lpips import load_lpips
from rdpcodec.training.data import ImageSet, load_images

SIDE = 512
QUALITIES = (5.0, 20.0, 35.0, 50.0, 70.0, 90.0)
REALISMS = (0.0, 0.25, 0.5, 0.75, 1.0)
# The most realism, and the tolerance of the detail match; or the same realism for all images.
MATCHES = ((1, 0.01), (1, 0.02), (1, 0.05), (1, 0.1), (1, 0.2), (0.5, 0.02), (0.6, 0.02), (0.7, 0.02), (0.7, 0.05))
CONSTANTS = (0.3, 0.5, 0.7, 1.0)

Measures = dict[str, Callable[[np.ndarray, np.ndarray], float]]


def crops(images: ImageSet, count: int) -> list[np.ndarray]:
    """Crops of held-out images, uint8 `[SIDE, SIDE, 3]`."""
    drawn = images.crops(count, SIDE, torch.Generator().manual_seed(3))
    return [(x * 255).round().byte().permute(1, 2, 0).contiguous().numpy() for x in drawn]


def points(codec: Codec, original: np.ndarray, measures: Measures) -> list[dict]:
    """For each quality: rate, each measure at each of `REALISMS`, the detail match at all realisms."""
    found = []
    for quality in QUALITIES:
        data = codec.compress(original, quality)
        images = [np.asarray(codec.decompress(data, realism=realism)) for realism in REALISMS]
        match = DetailMatch()
        match.add(original, images[0], images[-1])
        values = {name: [measure(original, image) for image in images] for name, measure in measures.items()}
        errors = (match.errors / match.blocks).tolist()
        found.append({"quality": quality, "bpp": bits_per_pixel(data), "detail": errors, **values})
    return found


def matched(point: dict, most: float, tolerance: float) -> float:
    """The realism that a rule takes for an image at a quality."""
    errors = np.array(point["detail"])
    return min(most, float(np.argmax(errors <= errors.min() + tolerance)) / (len(errors) - 1))


def changes(points: list[dict], realisms: list[float], names: list[str]) -> list[float]:
    """Of each measure, what it is less what it is at realism 0, means over images; cubic between realisms."""
    return [
        float(
            np.mean(
                [
                    np.polyval(np.polyfit(REALISMS, point[name], 3), realism) - point[name][0]
                    for realism, point in zip(realisms, points, strict=True)
                ]
            )
        )
        for name in names
    ]


def table(measured: list[list[dict]], names: list[str]) -> None:
    """For each quality and rule: the realism, and what it changes, as a share of what realism 1 does."""
    for place, quality in enumerate(QUALITIES):
        points = [image[place] for image in measured]
        whole = changes(points, [1.0] * len(points), names)
        words = "  ".join(f"{name} {change:+.3f}" for name, change in zip(names, whole, strict=True))
        print(f"quality {quality:g}, {np.mean([p['bpp'] for p in points]):.3f} bpp, realism 1: {words}")
        rules = {f"always {value}": [value] * len(points) for value in CONSTANTS}
        for most, tolerance in MATCHES:
            rules[f"match {tolerance}, at most {most}"] = [matched(p, most, tolerance) for p in points]
        for rule, realisms in rules.items():
            shares = np.array(changes(points, realisms, names)) / whole
            words = "  ".join(f"{name} {share:.0%}" for name, share in zip(names, shares, strict=True))
            print(f"  {rule:25} realism {np.mean(realisms):.2f}  {words}")


def main() -> None:
    if len(sys.argv) == 2:
        measured = json.loads(Path(sys.argv[1]).read_text())["images"]
        return table(measured, [name for name in measured[0][0] if name not in ("quality", "bpp", "detail")])
    data, lpips, out = (Path(word) for word in sys.argv[1:4])
    _, held_out = load_images(data, SIDE, torch.device("cpu"))
    codec = Codec()
    if not codec.weights.has_realism:
        sys.exit("these weights have no realism setting")
    eyes, notes = eye_measures()
    measures = {"psnr": psnr, **eyes, "lpips": load_lpips("alex", lpips).distance}
    count = int(sys.argv[4]) if len(sys.argv) > 4 else len(held_out.heights)
    measured = [points(codec, crop, measures) for crop in crops(held_out, count)]
    table(measured, list(measures))
    out.write_text(json.dumps({"weights": weights_identity(codec), "notes": notes, "images": measured}))
    print(*notes, sep="\n")


if __name__ == "__main__":
    main()
