"""What the context network of the released weights saves in files of whole images: python saved.py IMAGES OUT.json

OUT.json: for each image and quality, the bytes of the file, and those of its hyper-latents with and without the network.
"""

import json
import sys
from pathlib import Path

from rdpcodec import Codec
from rdpcodec.entropy.coder import Encoder
from rdpcodec.format.hyper_latents import hyper_latent_coder
from rdpcodec.image import load_image
from rdpcodec.weights.manifest import find_model
from rdpcodec.weights.release import ReleasedModel

QUALITIES = (5, 15, 25, 35, 50, 65, 90)


def hyper_bytes(coder, hyper, quality):
    """What the hyper-latents of a tile take."""
    encoder = Encoder()
    coder.write(encoder, hyper, quality)
    return len(encoder.bytes())


def main(folder, out):
    """Code all images at all qualities."""
    codec, released = Codec(), ReleasedModel.load(find_model("fast"))
    coders = [hyper_latent_coder(released.hyper_tables, context) for context in (None, released.context)]
    found = {}
    for path in sorted(Path(folder).glob("*.png")):
        image = load_image(path)
        found[path.name] = {}
        for quality in QUALITIES:
            tiles = codec.analyse([image], quality)[0]
            before, after = (sum(hyper_bytes(c, tile.hyper, quality) for tile in tiles) for c in coders)
            size = len(codec.compress(path, quality))
            found[path.name][quality] = {"file": size, "hyper_before": before, "hyper_after": after}
    for quality in QUALITIES:
        points = [one[quality] for one in found.values()]
        ratios = [p["file"] / (p["file"] - p["hyper_after"] + p["hyper_before"]) for p in points]
        share = sum(p["hyper_after"] for p in points) / sum(p["file"] for p in points)
        line = f"quality {quality}: files {100 * (sum(ratios) / len(ratios) - 1):+.2f} % on average, "
        print(line + f"{100 * (min(ratios) - 1):+.1f} to {100 * (max(ratios) - 1):+.1f}; hyper-latents {share:.1%}")
    Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
