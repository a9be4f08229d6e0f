"""`python -m bench rd`: rate and distortion of codecs on a folder of images, in one run.

Rates come from the bytes of real files, distortion from images decoded from them. Figures are means over
images of per-picture values. Results go into CompressAI's JSON schema: `FILE.json` holds our codec at its
top level and everything else beside it, `FILE/<codec>.json` each codec alone, `FILE.png` the plot.
"""

from __future__ import annotations

import json
import platform
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import bjontegaard
import click
import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.interpolate import PchipInterpolator

from bench.codecs import DEFAULT_CODECS, BenchCodec, bench_codec
from rdpcodec.metrics.distortion import ms_ssim, psnr
from rdpcodec.peers import Unavailable

# The rates at which photographs are exchanged; the range in which codecs are compared besides the whole
# overlap.
COMMON_RANGE = (0.15, 1.0)
_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"}


def measure(codec: BenchCodec, pictures: dict[str, Image.Image], console: Console) -> dict[str, Any]:
    """Code every image at every setting.

    Returns means in CompressAI's schema, and the values of each image.
    """
    first = next(iter(pictures.values()))
    codec.decode(codec.encode(first, codec.settings[0]))  # loads what is loaded once
    rows: dict[str, list[dict[str, float]]] = {}
    for name, image in track(list(pictures.items()), codec.name, console=console, transient=True):
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
    return {"name": codec.name, "description": codec.description, "results": results, "pictures": rows}


def rate_and_distortion(data: bytes, original: np.ndarray, decoded: np.ndarray) -> dict[str, float]:
    """What a file of an image costs, and how far it decodes from it; pixels uint8 `[H, W, 3]`."""
    height, width = original.shape[:2]
    return {
        "bytes": len(data),
        "bpp": round(len(data) * 8 / (width * height), 6),
        "psnr-rgb": round(psnr(original, decoded), 5),
        "ms-ssim-rgb": round(ms_ssim(original, decoded), 7),
    }


def means(pictures: dict[str, list[dict[str, float]]], keys: tuple[str, ...]) -> dict[str, list[float]]:
    """Means over images of the values of each setting."""
    return {
        key: [
            round(float(np.mean([point[key] for point in points])), 7)
            for points in zip(*pictures.values(), strict=True)
        ]
        for key in keys
    }


def rises(points: list[dict[str, float]]) -> bool:
    """Whether bytes and PSNR of one image rise strictly with the setting."""
    return all(
        before["bytes"] < after["bytes"] and before["psnr-rgb"] < after["psnr-rgb"]
        for before, after in pairwise(points)
    )


def bd_rate(
    anchor: dict[str, Any], test: dict[str, Any], metric: str, bpp_range: tuple[float, float] | None = None
) -> float:
    """Bjøntegaard delta rate of `test` against `anchor` in per cent, PCHIP, negative where `test` needs fewer
    bits.

    bpp_range: compare only over the distortion that the anchor has between these rates.
    """
    curves = [_curve(codec, metric) for codec in (anchor, test)]
    if bpp_range:
        rate, quality = curves[0]
        bounds = np.clip(bpp_range, rate[0], rate[-1])
        low, high = PchipInterpolator(np.log(rate), quality)(np.log(bounds))
        curves = [_clip(*curve, low, high) for curve in curves]
    (anchor_rate, anchor_quality), (test_rate, test_quality) = curves
    return float(
        bjontegaard.bd_rate(
            anchor_rate,
            anchor_quality,
            test_rate,
            test_quality,
            method="pchip",
            require_matching_points=False,
            min_overlap=0,
        )
    )


def bd_rate_by_picture(anchor: dict[str, Any], test: dict[str, Any], metric: str) -> float:
    """The mean of the images' own BD-rates, for results of `measure` on the same images.

    The BD-rate of mean curves also counts how a setting spreads bits over images: a codec whose curve is
    worse on each of them can be the better one there (docs/decisions.md).
    """
    return float(np.mean(list(bd_rates_of_pictures(anchor, test, metric).values())))


def bd_rates_of_pictures(anchor: dict[str, Any], test: dict[str, Any], metric: str) -> dict[str, float]:
    """Each image's own BD-rate."""
    return {
        name: bd_rate(_rising(points, metric), _rising(test["pictures"][name], metric), metric)
        for name, points in anchor["pictures"].items()
    }


def _rising(points: list[dict[str, float]], metric: str) -> dict[str, Any]:
    """One image's curve, without settings that cost more and show no more than one before."""
    kept: list[dict[str, float]] = []
    for point in points:
        if not kept or (point["bpp"] > kept[-1]["bpp"] and point[metric] > kept[-1][metric]):
            kept.append(point)
    return {"results": {key: [point[key] for point in kept] for key in ("bpp", metric)}}


def _curve(codec: dict[str, Any], metric: str) -> tuple[np.ndarray, np.ndarray]:
    quality = np.array(codec["results"][metric])
    if metric.startswith("ms-ssim"):
        quality = -10 * np.log10(1 - quality)
    return np.array(codec["results"]["bpp"]), quality


def _clip(rate: np.ndarray, quality: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """The part of a curve with low ≤ quality ≤ high, its ends interpolated."""
    low, high = max(low, quality[0]), min(high, quality[-1])
    inside = (quality > low) & (quality < high)
    positions = np.concatenate([[low], quality[inside], [high]])
    return np.exp(PchipInterpolator(quality, np.log(rate))(positions)), positions


def plot(codecs: list[dict[str, Any]], path: Path, title: str) -> None:
    """The rate-distortion curves as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(12, 5.2), layout="constrained")
    for axis, metric, label in (
        (axes[0], "psnr-rgb", "PSNR, RGB (dB)"),
        (axes[1], "ms-ssim-rgb", "MS-SSIM (dB)"),
    ):
        for codec in codecs:
            rate, quality = _curve(codec, metric)
            ours = codec["name"].startswith("rdpcodec")
            axis.plot(
                rate, quality, marker="o", markersize=4, linewidth=2.4 if ours else 1.3, label=codec["name"]
            )
        axis.set(xlabel="bits per pixel", ylabel=label, xlim=(0, 1.6))
        visible = [v for c in codecs for r, v in zip(*_curve(c, metric), strict=True) if r <= 1.6]
        axis.set_ylim(min(visible) - 0.5, max(visible) + 0.5)
        axis.grid(alpha=0.3)
        axis.legend()
    figure.suptitle(title)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def machine() -> dict[str, Any]:
    """What timings depend on, for the record."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


data_option = click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="Folder of images.",
)


def load_folder(folder: Path) -> dict[str, Image.Image]:
    """The images of a folder as RGB, by name. Raises `click.ClickException` if there are none."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    if not paths:
        raise click.ClickException(f"{folder}: no pictures")
    return {path.name: Image.open(path).convert("RGB") for path in paths}


@click.command()
@data_option
@click.option("--codecs", help=f"Comma-separated; default: {','.join(DEFAULT_CODECS)}, as far as installed.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="FILE.json for the results.")
@click.option("--device", default="cpu", show_default=True, help="Where our networks run.")
def rd(data: Path, codecs: str | None, out: Path | None, device: str) -> None:
    """Rate, distortion, seconds and BD-rates of codecs on a folder of images."""
    console = Console()
    pictures = load_folder(data)
    measured = []
    for name in codecs.split(",") if codecs else DEFAULT_CODECS:
        try:
            measured.append(measure(bench_codec(name, device), pictures, console))
        except Unavailable as error:
            if codecs:
                raise click.ClickException(str(error)) from error
            console.print(f"left out: {error}")
        except KeyError:
            raise click.ClickException(
                f"unknown codec {name!r}; known: {', '.join(DEFAULT_CODECS)}"
            ) from None
    ours, peers = measured[0], measured[1:]

    table = Table(title=f"{len(pictures)} images of {data.name}", title_justify="left")
    for column in ("codec", "setting", "bpp", "PSNR dB", "MS-SSIM", "encode s", "decode s"):
        table.add_column(column, justify="left" if column == "codec" else "right")
    for codec in measured:
        r = codec["results"]
        for i, setting in enumerate(r["setting"]):
            values = (
                r["bpp"][i],
                r["psnr-rgb"][i],
                r["ms-ssim-rgb"][i],
                r["encoding_time"][i],
                r["decoding_time"][i],
            )
            formats = ("{:.4f}", "{:.3f}", "{:.4f}", "{:.3f}", "{:.3f}")
            table.add_row(
                codec["name"], f"{setting:g}", *(f.format(v) for f, v in zip(formats, values, strict=True))
            )
    console.print(table)

    unsteady = [name for name, points in ours["pictures"].items() if not rises(points)]
    console.print(
        f"{ours['name']}: bytes and PSNR rise with every step of the dial on "
        f"{len(pictures) - len(unsteady)} of {len(pictures)} pictures"
        + (f", not on {', '.join(unsteady)}" if unsteady else "")
    )
    rates: dict[str, dict[str, float]] = {}
    for peer in peers:
        rates[peer["name"]] = {
            "psnr": round(bd_rate(peer, ours, "psnr-rgb"), 2),
            "psnr_common_range": round(bd_rate(peer, ours, "psnr-rgb", COMMON_RANGE), 2),
            "ms_ssim": round(bd_rate(peer, ours, "ms-ssim-rgb"), 2),
            "psnr_by_picture": round(bd_rate_by_picture(peer, ours, "psnr-rgb"), 2),
            "ms_ssim_by_picture": round(bd_rate_by_picture(peer, ours, "ms-ssim-rgb"), 2),
        }
        low, high = COMMON_RANGE
        r = rates[peer["name"]]
        console.print(
            f"BD-rate of {ours['name']} against {peer['name']}: {r['psnr']:+.1f} % (PSNR), "
            f"{r['psnr_common_range']:+.1f} % (PSNR, {low}-{high} bpp), {r['ms_ssim']:+.1f} % (MS-SSIM); "
            f"mean of the images' own: {r['psnr_by_picture']:+.1f} % (PSNR), "
            f"{r['ms_ssim_by_picture']:+.1f} % (MS-SSIM)"
        )
        own = bd_rates_of_pictures(peer, ours, "psnr-rgb")
        best, worst = min(own, key=own.__getitem__), max(own, key=own.__getitem__)
        console.print(f"  PSNR: from {own[best]:+.1f} % on {best} to {own[worst]:+.1f} % on {worst}")
    if out:
        setup = {"data": data.name, "picture_count": len(pictures), "machine": machine()}
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(
            json.dumps(
                {**ours, "peers": peers, "bd_rate": rates, "unsteady": unsteady, **setup},
                separators=(",", ":"),
            )
            + "\n",
            encoding="utf-8",
        )
        folder = out.with_suffix("")
        folder.mkdir(exist_ok=True)
        for codec in measured:
            alone = {key: codec[key] for key in ("name", "description", "results")}
            (folder / f"{codec['name'].replace(':', '-')}.json").write_text(
                json.dumps(alone, indent=1) + "\n", encoding="utf-8"
            )
        plot(
            measured,
            out.with_suffix(".png"),
            f"{len(pictures)} images of {data.name}, means of per-picture values",
        )
        console.print(f"written: {out}, {folder}/, {out.with_suffix('.png')}")
