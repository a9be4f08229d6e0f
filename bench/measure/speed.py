"""`python -m bench measure speed`: seconds to encode and decode, beside CompressAI's mean-scale hyperprior.

CompressAI pins numpy<2, so this runs in an environment of its own:
`pip install 'rdpcodec[bench,compressai]'`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from PIL import Image

from bench.codecs import BenchCodec, bench_codec
from bench.folder import data_option, load_folder
from bench.options import json_option
from bench.record import machine, write_record
from bench.timing import seconds
from rdpcodec.peers import Unavailable


def compressai_codec(quality: int) -> BenchCodec:
    """CompressAI's `mbt2018_mean` with random weights: they serve for timing, not for images.

    Raises `Unavailable` when compressai is not installed.
    """
    try:
        # A registry's torchvision does not load beside a CPU-only torch until its two operators are declared.
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    except RuntimeError:
        pass  # a matching torchvision has declared them itself
    try:
        from compressai.zoo import mbt2018_mean
    except ImportError as error:
        raise Unavailable(f"compressai cannot be imported: {error}") from error
    torch.manual_seed(0)
    network = mbt2018_mean(quality=quality, pretrained=False).eval()
    network.update()

    def encode(image: Image.Image, _: float) -> Any:
        x = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            return network.compress(x)

    def decode(coded: Any) -> Image.Image:
        with torch.inference_mode():
            x = network.decompress(coded["strings"], coded["shape"])["x_hat"]
        return Image.fromarray((x[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy())

    description = f"compressai mbt2018_mean(quality={quality}), random weights"
    return BenchCodec(f"mbt2018-mean-{quality}", description, (quality,), encode, decode)


@click.command()
@data_option
@click.option("--quality", type=float, default=50, show_default=True, help="Our quality.")
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True)
@json_option
def speed(data: Path, quality: float, repeats: int, out: Path | None) -> None:
    """Encoding and decoding seconds per image, ours and CompressAI's, on the same cores in the same run."""
    images = load_folder(data)
    peer = compressai_codec(4)
    codecs = [(bench_codec("rdpcodec"), quality), (peer, 4.0)]
    totals = {codec.name: {"encode": 0.0, "decode": 0.0} for codec, _ in codecs}
    for codec, setting in codecs:  # warm
        codec.decode(codec.encode(next(iter(images.values())), setting))
    for image in images.values():
        for codec, setting in codecs:
            coded = codec.encode(image, setting)
            totals[codec.name]["encode"] += seconds(partial(codec.encode, image, setting), repeats)
            totals[codec.name]["decode"] += seconds(partial(codec.decode, coded), repeats)
    ours, theirs = (totals[codec.name] for codec, _ in codecs)
    for codec, _ in codecs:
        each = {key: value / len(images) for key, value in totals[codec.name].items()}
        click.echo(
            f"{codec.description}: encode {each['encode']:.3f} s, decode {each['decode']:.3f} s an image"
        )
    ratios = {key: theirs[key] / ours[key] for key in ours}
    click.echo(
        f"ours is faster by a factor of {ratios['encode']:.1f} encoding, {ratios['decode']:.1f} decoding"
    )
    if out:
        record = {"images": len(images), "seconds_total": totals, "factor": ratios, "machine": machine()}
        write_record(out, record, indent=1)
