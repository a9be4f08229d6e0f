"""Compress a photograph, decompress it, and put both side by side: `make demo`.

The photograph (coffee.png, 600×400, by Rachel Michetti, CC0) is the one scikit-image ships as
`skimage.data.coffee`.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from PIL import Image

import rdpcodec
from rdpcodec.metrics.distortion import psnr

PHOTOGRAPH = Path(__file__).parent / "coffee.png"
OUTPUT = Path("demo")
QUALITY = 40


def main() -> None:
    OUTPUT.mkdir(exist_ok=True)
    original = Image.open(PHOTOGRAPH).convert("RGB")
    codec = rdpcodec.Codec()
    codec.compress(original, QUALITY)  # the first image also pays for loading networks

    started = time.perf_counter()
    data = codec.compress(original, QUALITY)
    compressed = time.perf_counter()
    decoded = codec.decompress(data)
    finished = time.perf_counter()

    side_by_side = Image.new("RGB", (2 * original.width + 8, original.height), "white")
    side_by_side.paste(original, (0, 0))
    side_by_side.paste(decoded, (original.width + 8, 0))
    (OUTPUT / "coffee.rdpc").write_bytes(data)
    decoded.save(OUTPUT / "coffee.png")
    side_by_side.save(OUTPUT / "side-by-side.png")

    pixels = original.width * original.height
    print(f"original       {PHOTOGRAPH.name}, {original.size}, {PHOTOGRAPH.stat().st_size} bytes as PNG")
    print(
        f"compressed     {len(data)} bytes at quality {QUALITY}, {len(data) * 8 / pixels:.3f} bits per pixel"
    )
    print(f"PSNR           {psnr(np.asarray(original), np.asarray(decoded)):.2f} dB")
    print(f"compression    {compressed - started:.3f} s")
    print(f"decompression  {finished - compressed:.3f} s")
    print(f"written        {OUTPUT}/coffee.rdpc, coffee.png, side-by-side.png (original | decoded)")


if __name__ == "__main__":
    main()
