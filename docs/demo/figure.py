"""The image in README: a crop of the demo's photograph at realism 0 and 1, beside JPEG, WebP
and AVIF of about as many bytes.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import rdpcodec
from rdpcodec.metrics.distortion import psnr
from rdpcodec.peers import closest_to, find_peer

HERE = Path(__file__).parent
QUALITY = 28
CROP = (150, 60, 450, 290)
PEERS = ("jpeg", "webp", "avif")
COLUMNS = 3
GAP, LABEL = 8, 22


def main() -> None:
    original = Image.open(HERE / "coffee.png").convert("RGB")
    data = rdpcodec.compress(original, QUALITY)
    panels = [(f"original, {original.width} x {original.height}", original)]
    for peer in map(find_peer, PEERS):
        file = closest_to(partial(peer.encode, original), len(data), {})
        panels.append((f"{peer.label}, {len(file)} bytes", peer.decode(file)))
    for realism in (0, 1):
        label = f"rdpcodec, realism {realism}, {len(data)} bytes"
        panels.append((label, rdpcodec.decompress(data, realism=realism)))

    width, height = CROP[2] - CROP[0] + GAP, CROP[3] - CROP[1] + LABEL
    size = (COLUMNS * width - GAP, len(panels) // COLUMNS * height)
    figure = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(figure)
    for i, (label, image) in enumerate(panels):
        if image is not original:
            label += f", {psnr(np.asarray(original), np.asarray(image)):.1f} dB"
        left, top = i % COLUMNS * width, i // COLUMNS * height
        figure.paste(image.crop(CROP), (left, top + LABEL))
        draw.text((left + 2, top + 4), label, "black", font_size=13)
        print(label)
    figure.save(HERE.parent / "images" / "coffee.jpg", quality=92, subsampling=0)


if __name__ == "__main__":
    main()
