"""`python -m bench measure rd`: rate and distortion of codecs on a folder of images, in one run.

Rates come from the bytes of real files, distortion from images decoded from them. Figures are means over
images of per-image values. Results use CompressAI's JSON schema: `FILE.json` holds our codec at its top level
and everything else beside it. `FILE/<codec>.json` holds each codec alone, `FILE.png` the plot.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.analysis.bd_rate import (
    bd_rate_by_image,
    bd_rate_if_shared,
    bd_rates_of_images,
    mean_curve,
    rate_text,
    stored_rate,
)
from bench.analysis.measured import LOSSLESS_PSNR
from bench.codecs import DEFAULT_CODECS, OURS, BenchCodec, bench_codec
from bench.folder import data_option, load_folder
from bench.options import json_option
from bench.record import machine, write_record
from rdpcodec.metrics.distortion import ms_ssim, psnr
from rdpcodec.peers import PEERS, Unavailable

# The rates at which photographs are exchanged. Codecs are compared in this range and over the whole overlap.
COMMON_RANGE = (0.15, 1.0)
# The plot ends here: beyond it, photographs hardly differ from their originals.
PLOTTED_BPP = 1.6


def measure(codec: BenchCodec, images: dict[str, Image.Image], console: Console) -> dict[str, Any]:
    """Code every image at every setting.

    Returns means in CompressAI's schema, and the values of each image.
    """
    first = next(iter(images.values()))
    codec.decode(codec.encode(first, codec.settings[0]))  # loads what is loaded once
    rows: dict[str, list[dict[str, float]]] = {}
    for name, image in track(list(images.items()), codec.name, console=console, transient=True):
        original = np.asarray(image)
        points = []
        for setting in codec.settings:
            started = time.perf_counter()
            data = codec.encode(image, setting)
            encoded = time.perf_counter()
            decoded = np.asarray(codec.decode(data))
            finished = time.perf_counter()
            points.append(
                {
                    "setting": setting,
                    **rate_and_distortion(data, original, decoded),
                    "encoding_time": round(encoded - started, 5),
                    "decoding_time": round(finished - encoded, 5),
                }
            )
        rows[name] = points
    results = means(rows, ("bpp", "psnr-rgb", "ms-ssim-rgb", "encoding_time", "decoding_time"))
    results["setting"] = list(codec.settings)
    return {"name": codec.name, "description": codec.description, "results": results, "images": rows}


def rate_and_distortion(data: bytes, original: np.ndarray, decoded: np.ndarray) -> dict[str, float]:
    """The rate of an image's file, and the distortion of its decoded image; pixels uint8 `[H, W, 3]`."""
    height, width = original.shape[:2]
    return {
        "bytes": len(data),
        "bpp": round(len(data) * 8 / (width * height), 6),
        "psnr-rgb": round(min(psnr(original, decoded), LOSSLESS_PSNR), 5),
        "ms-ssim-rgb": round(ms_ssim(original, decoded), 7),
    }


def means(images: dict[str, list[dict[str, float]]], keys: tuple[str, ...]) -> dict[str, list[float]]:
    """Means over images of the values of each setting."""
    return {
        key: [
            round(float(np.mean([point[key] for point in points])), 7)
            for points in zip(*images.values(), strict=True)
        ]
        for key in keys
    }


def rises(points: list[dict[str, float]]) -> bool:
    """Whether bytes and PSNR of one image rise strictly with the setting."""
    return all(
        before["bytes"] < after["bytes"] and before["psnr-rgb"] < after["psnr-rgb"]
        for before, after in pairwise(points)
    )


def plot(codecs: list[dict[str, Any]], path: Path, title: str) -> None:
    """The rate-distortion curves as a PNG."""
    from bench.drawing import pyplot, write_figure  # takes a second to import

    rates = [rate for codec in codecs for rate in codec["results"]["bpp"]]
    # The files of small images can all be larger.
    most = PLOTTED_BPP if min(rates) <= PLOTTED_BPP else max(rates)
    figure, axes = pyplot.subplots(1, 2, figsize=(12, 5.2), layout="constrained")
    for axis, metric, label in (
        (axes[0], "psnr-rgb", "PSNR, RGB (dB)"),
        (axes[1], "ms-ssim-rgb", "MS-SSIM (dB)"),
    ):
        for codec in codecs:
            curve, name = mean_curve(codec, metric), codec["name"]
            width, shown = (
                (2.4 if name.startswith(OURS) else 1.3),
                PEERS[name].label if name in PEERS else name,
            )
            axis.plot(curve.bpp, curve.values, marker="o", markersize=4, linewidth=width, label=shown)
        axis.set(xlabel="bits per pixel", ylabel=label, xlim=(0, most))
        drawn = [mean_curve(codec, metric) for codec in codecs]
        visible = np.concatenate([curve.values[curve.bpp <= most] for curve in drawn])
        known = visible[np.isfinite(visible)]  # small images have no MS-SSIM
        if known.size:
            axis.set_ylim(known.min() - 0.5, known.max() + 0.5)
        axis.grid(alpha=0.3)
        axis.legend()
    figure.suptitle(title)
    write_figure(path, figure, dpi=110)


@click.command()
@data_option
@click.option("--codecs", help=f"Comma-separated; default: {','.join(DEFAULT_CODECS)}, as far as installed.")
@json_option
@click.option("--device", default="cpu", show_default=True, help="Where our networks run.")
def rd(data: Path, codecs: str | None, out: Path | None, device: str) -> None:
    """Rate, distortion, seconds and BD-rates of codecs on a folder of images."""
    console = Console()
    images = load_folder(data)
    measured = [measure(codec, images, console) for codec in _chosen(codecs, device, console)]
    ours, peers = measured[0], measured[1:]
    title = f"{len(images)} images of {data.name}"
    console.print(_table(measured, title))
    unsteady = [name for name, points in ours["images"].items() if not rises(points)]
    console.print(
        f"{ours['name']}: bytes and PSNR rise with every step of quality on "
        f"{len(images) - len(unsteady)} of {len(images)} images"
        + (f", not on {', '.join(unsteady)}" if unsteady else "")
    )
    rates = {peer["name"]: bd_rates(peer, ours) for peer in peers}
    for peer in peers:
        _print_bd_rates(peer, ours, rates[peer["name"]], console)
    if out:
        setup = {"data": data.name, "image_count": len(images), "machine": machine()}
        write_record(out, {**ours, "peers": peers, "bd_rate": rates, "unsteady": unsteady, **setup})
        folder = out.with_suffix("")
        for codec in measured:
            alone = {key: codec[key] for key in ("name", "description", "results")}
            write_record(folder / f"{codec['name'].replace(':', '-')}.json", alone, indent=1)
        plot(measured, out.with_suffix(".png"), f"{title}, means of per-image values")
        console.print(f"written: {out}, {folder}/, {out.with_suffix('.png')}")


def _chosen(names: str | None, device: str, console: Console) -> Iterator[BenchCodec]:
    """The codecs asked for, or the default ones that are installed."""
    for name in names.split(",") if names else DEFAULT_CODECS:
        try:
            codec = bench_codec(name, device)
        except Unavailable as error:
            if names:
                raise
            console.print(f"left out: {error}")
        else:
            yield codec


def _table(measured: list[dict[str, Any]], title: str) -> Table:
    """The means of every codec at every setting."""
    table = Table(title=title, title_justify="left")
    for column in ("codec", "setting", "bpp", "PSNR dB", "MS-SSIM", "encode s", "decode s"):
        table.add_column(column, justify="left" if column == "codec" else "right")
    formats = {
        "setting": "{:g}",
        "bpp": "{:.4f}",
        "psnr-rgb": "{:.3f}",
        "ms-ssim-rgb": "{:.4f}",
        "encoding_time": "{:.3f}",
        "decoding_time": "{:.3f}",
    }
    for codec in measured:
        results = codec["results"]
        for i in range(len(results["setting"])):
            table.add_row(codec["name"], *(form.format(results[key][i]) for key, form in formats.items()))
    return table


def bd_rates(peer: dict[str, Any], ours: dict[str, Any]) -> dict[str, float | None]:
    """Our BD-rates against a peer in per cent: of the mean curves, and means of the images' own.

    None where curves share no quality, for example on images that are coded without error.
    """

    def of_means(metric: str, bpp_range: tuple[float, float] | None = None) -> float:
        return bd_rate_if_shared(mean_curve(peer, metric), mean_curve(ours, metric), bpp_range)

    rates = {
        "psnr": of_means("psnr-rgb"),
        "psnr_common_range": of_means("psnr-rgb", COMMON_RANGE),
        "ms_ssim": of_means("ms-ssim-rgb"),
        "psnr_by_image": bd_rate_by_image(peer, ours, "psnr-rgb"),
        "ms_ssim_by_image": bd_rate_by_image(peer, ours, "ms-ssim-rgb"),
    }
    return {name: stored_rate(rate) for name, rate in rates.items()}


def _print_bd_rates(
    peer: dict[str, Any], ours: dict[str, Any], rates: dict[str, float | None], console: Console
) -> None:
    low, high = COMMON_RANGE
    shown = {name: rate_text(rate) for name, rate in rates.items()}
    console.print(
        f"BD-rate of {ours['name']} against {peer['name']}: {shown['psnr']} (PSNR), "
        f"{shown['psnr_common_range']} (PSNR, {low}-{high} bpp), {shown['ms_ssim']} (MS-SSIM); "
        f"mean of the images' own: {shown['psnr_by_image']} (PSNR), {shown['ms_ssim_by_image']} (MS-SSIM)"
    )
    own = bd_rates_of_images(peer, ours, "psnr-rgb")
    own = {name: rate for name, rate in own.items() if math.isfinite(rate)}
    if not own:
        return
    best, worst = min(own, key=own.__getitem__), max(own, key=own.__getitem__)
    console.print(f"  PSNR: from {own[best]:+.1f} % on {best} to {own[worst]:+.1f} % on {worst}")
