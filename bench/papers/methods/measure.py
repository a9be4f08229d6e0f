"""Measures every method on every image, with and without a reference; results are kept image by image."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from bench.analysis.measured import MEASURES
from bench.codecs import OURS, BenchCodec, bench_codec, weights_identity
from bench.folder import open_rgb
from bench.metrics.eye_measures import vif
from bench.metrics.image_metrics import image_tensor
from bench.metrics.natural import niqe
from bench.papers.methods.enlarge import enlargers, reduced
from bench.papers.wgan.records import kept_or_made
from rdpcodec import Codec
from rdpcodec.metrics import distortion
from rdpcodec.metrics.lpips import load_lpips
from rdpcodec.peers import Unavailable, closest_to

QUALITIES = (15.0, 30.0, 50.0)  # of our codec: about 0.08, 0.16 and 0.35 bits per pixel on Kodak
REALISMS = (0.0, 0.5, 1.0)
BESIDE = ("avif", "webp", "jpeg")
# Methods in a group are given the same: a number of bytes, or a reduced image. They compete only within it.
REDUCED = "×4 super-resolution"


def group_of(quality: float) -> str:
    """The group of files as large as ours at a quality."""
    return f"quality {quality:g}"


@cache
def available_peers() -> tuple[tuple[BenchCodec, ...], tuple[str, ...]]:
    """The codecs beside ours, and a note on each that is missing."""
    found, notes = [], []
    for name in BESIDE:
        try:
            found.append(bench_codec(name))
        except Unavailable as error:
            notes.append(f"left out: {error}")
    return tuple(found), tuple(notes)


def measured_image(path: Path, runs: Path, lpips: Path | None) -> dict[str, Any]:
    """The measures of all methods on one image, by `group/method`; measured unless that is done.

    runs: folder of records. Raises `UsageError` if the record there is of other methods or weights.
    """
    settings = {
        "image": hashlib.sha256(path.read_bytes()).hexdigest(),
        "measures": MEASURES,
        "weights": weights_identity(Codec()),
        "qualities": list(QUALITIES),
        "realisms": list(REALISMS),
        "methods": [codec.name for codec in available_peers()[0]]
        + [method.name for method in enlargers()[0]],
    }

    def make() -> dict[str, Any]:
        image = open_rgb(path)
        original = np.asarray(image)
        compare = _comparison(original, lpips)
        found = {
            f"{group}/{method}": {**compare(decoded), "bpp": bpp}
            for group, method, decoded, bpp in (*_coded(image), *_enlarged(image))
        }
        return {"original niqe": niqe(original), "methods": found}

    return kept_or_made(runs / f"{path.name}.json", settings, make)


def _coded(image: Image.Image) -> Iterator[tuple[str, str, np.ndarray, float | None]]:
    """Group, method, pixels and bits per pixel: ours at every realism, and peers at as many bytes."""
    ours = Codec()
    pixels = image.width * image.height
    files: dict[str, dict[int, bytes]] = {}
    for quality in QUALITIES:
        data = ours.compress(image, quality)
        for realism in REALISMS:
            decoded = np.asarray(ours.decompress(data, realism=realism))
            yield group_of(quality), f"{OURS} {realism:g}", decoded, 8 * len(data) / pixels
        for peer in available_peers()[0]:
            made = files.setdefault(peer.name, {})
            file = closest_to(partial(peer.encode, image), len(data), made)
            yield group_of(quality), peer.name, np.asarray(peer.decode(file)), 8 * len(file) / pixels


def _enlarged(image: Image.Image) -> Iterator[tuple[str, str, np.ndarray, float | None]]:
    small = reduced(image)
    for method in enlargers()[0]:
        yield REDUCED, method.name, method.enlarge(small), None


def _comparison(original: np.ndarray, lpips: Path | None) -> Callable[[np.ndarray], dict[str, float]]:
    """A function for all measures of a decoded image; those that are indices fall with distance."""
    network = load_lpips("alex", lpips).eval()
    reference = network.features(image_tensor(original)[None])

    @torch.inference_mode()
    def compare(decoded: np.ndarray) -> dict[str, float]:
        features = network.features(image_tensor(decoded)[None])
        return {
            "rmse": distortion.mse(original, decoded) ** 0.5,
            "ssim": distortion.ssim(original, decoded),
            "ms_ssim": distortion.ms_ssim(original, decoded),
            "vif": vif(original, decoded),
            "lpips_alex": float(network.between(reference, features)),
            "niqe": niqe(decoded),
        }

    return compare
