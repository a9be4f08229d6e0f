"""Measured results as Markdown tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from textwrap import fill
from typing import Any

import numpy as np

from bench.analysis.bd_rate import (
    BD_RESAMPLINGS,
    bd_rate_if_shared,
    measured_bd_rate,
    measured_curve,
)
from bench.analysis.measured import FIDELITY, Measured, image_weights
from bench.codecs import OURS
from bench.markdown import markdown_table
from rdpcodec.peers import PEERS
from rdpcodec.weights.manifest import DEFAULT_MODEL

# The columns of a result file's BD-rates: key and head.
BD_RATES = {
    "psnr": "PSNR",
    "psnr_common_range": "PSNR, 0.15-1.0 bpp",
    "ms_ssim": "MS-SSIM",
    "psnr_by_image": "PSNR, each image",
    "ms_ssim_by_image": "MS-SSIM, each image",
}
_TIMES = ("encoding_time", "decoding_time")
# Scores above which a measure is compared once more: few would keep an image below them for its closeness.
_LEAST = {"ssimulacra2": (50, 70)}

# The columns of `realism_table`: head, measure and format. Those that were not measured are left out.
# The measures of README's table, each with the least score that counts, and the rate at which it names LPIPS.
_HEADLINE = (
    ("ssimulacra2", -math.inf),
    ("ssimulacra2", 50),
    ("butteraugli", -math.inf),
    ("psnr", -math.inf),
)
_HEADLINE_BPP = 0.3
_REALISM_COLUMNS = (
    ("PSNR, dB", "psnr", "{:.2f} → {:.2f}"),
    ("SSIMULACRA2", "ssimulacra2", "{:.1f} → {:.1f}"),
    ("Butteraugli", "butteraugli", "{:.2f} → {:.2f}"),
    ("LPIPS-AlexNet", "lpips_alex", "{:.3f} → {:.3f}"),
    ("kernel distance, held out", "kernel_held_out", "{:.4f} → {:z.4f}"),
    ("kernel distance", "kernel", "{:.3f} → {:z.3f}"),
    ("sliced Wasserstein", "sliced_wasserstein", "{:.0f} → {:.0f}"),
    ("NIQE", "niqe", "{:.1f} → {:.1f}"),
    ("energy of the finest band", "energy_1", "{:.2f} → {:.2f}"),
)


def result_lines(results: dict[str, Any]) -> list[str]:
    """The lines that `rdpcodec models` shows for a result file of `bench measure rd`."""
    rates = ", ".join(f"{_label(name)} {_percent(rate['psnr'])}" for name, rate in results["bd_rate"].items())
    ours = results["results"]
    encode, decode = (sum(ours[key]) / len(ours[key]) for key in _TIMES)
    return [
        f"BD-rate (PSNR) on {results['data']}: against {rates}",
        f"{ours['bpp'][0]:.3f} to {ours['bpp'][-1]:.2f} bits per pixel, "
        f"{ours['psnr-rgb'][0]:.1f} to {ours['psnr-rgb'][-1]:.1f} dB",
        f"{encode:.2f} s to encode, {decode:.2f} s to decode an image of {results['data']} "
        f"on {results['machine']['threads']} cores",
    ]


def result_tables(results: dict[str, Any], command: str) -> str:
    """A result file of `bench measure rd` as Markdown."""
    introduction = (
        f"{results['image_count']} images of {results['data']}, bytes of real files, RGB, means over "
        f"images (`{command}`). BD-rate is the change in bytes at equal quality; negative is smaller. "
        "The first three columns compare mean curves, the last two are means of the images' own BD-rates:"
    )
    rates = [
        [_label(name), *(_percent(rate[key]) for key in BD_RATES)]
        for name, rate in results["bd_rate"].items()
    ]
    ours = results["results"]
    columns = [i for i, setting in enumerate(ours["setting"]) if setting % 20 == 0]
    points = [
        [label, *(form.format(ours[key][i]) for i in columns)]
        for label, key, form in (
            ("bits per pixel", "bpp", "{:.3f}"),
            ("PSNR, dB", "psnr-rgb", "{:.2f}"),
            ("MS-SSIM", "ms-ssim-rgb", "{:.4f}"),
        )
    ]
    return "\n\n".join(
        (
            fill(introduction, 120, break_on_hyphens=False),
            markdown_table(["against", *BD_RATES.values()], rates),
            markdown_table(["quality", *(f"{ours['setting'][i]:g}" for i in columns)], points),
        )
    )


def realism_table(gains: list[dict[str, Any]]) -> str:
    """What `bench report realism-gains` found, as Markdown: realism 0 → 1 for the same files at each rate."""
    shown = [column for column in _REALISM_COLUMNS if column[1] in gains[0]["along"]]
    rows = []
    for row in gains:
        cells = [f"{row['bpp']:.2f}"]
        for _, metric, form in shown:
            ends = row["along"][metric][0], row["along"][metric][-1]
            known = all(end is not None and math.isfinite(end) for end in ends)
            cells.append(form.format(*ends).replace("-", "−") if known else "–")
        rows.append([*cells, _formed("{:.0f}", 100 * row["avif_share"])])
    return markdown_table(["bits per pixel", *(head for head, _, _ in shown), "bytes, % of AVIF's"], rows)


def headline_table(
    ours: Measured, avif: Measured, gains: list[dict[str, Any]], others: Sequence[Measured] = ()
) -> str:
    """README's one table as Markdown: our bytes in per cent of AVIF's and others', at equal closeness and
    LPIPS.

    It uses the points of the surface, as the report does. The measures are few, so that a newcomer reads
    them; `closeness_table` has all.
    """
    rows = []
    for label, metric, least in closeness(ours, avif):
        if (metric, least) in _HEADLINE:
            rows.append([label, "0", *(_share(ours, other, metric, least) for other in (avif, *others))])
    for gain in gains:
        if gain["bpp"] == _HEADLINE_BPP:
            shares = [gain["avif_share"], *(_lpips_share(gain, other) for other in others)]
            label = f"LPIPS-AlexNet, at {gain['bpp']:.2f} bits per pixel"
            rows.append([label, "1", *(_formed("{:.0f}", 100 * share) for share in shares)])
    heads = (f"% of {other.label}'s" for other in others)
    return markdown_table(["at equal", "realism", "bytes, % of AVIF's", *heads], rows)


def _lpips_share(gain: dict[str, Any], other: Measured) -> float:
    """Our bytes at realism 1 over those of another codec at equal LPIPS; NaN where it has no such LPIPS."""
    curve = measured_curve(other, "lpips_alex", 0).improving()
    if len(curve.bpp) < 2:
        return math.nan
    return float(gain["bpp"] / curve.rate_at(-np.log2(gain["along"]["lpips_alex"][-1])))


def closeness_table(ours: Measured, avif: Measured, others: Sequence[Measured] = ()) -> str:
    """Our bytes in per cent of AVIF's at equal closeness and realism 0, with intervals, and of other codecs',
    as Markdown.
    """
    weights = image_weights(len(ours.images))[:BD_RESAMPLINGS]
    rows = []
    for label, metric, least in closeness(ours, avif):
        found = measured_bd_rate(avif, ours, metric, (0, 0), weights, least=least)
        interval = "–"
        if found["interval"] is not None:
            interval = " to ".join(f"{100 + end:.0f}" for end in found["interval"])
        shares = [_share(ours, other, metric, least) for other in others]
        rows.append([label, _formed("{:.0f}", 100 + found["value"]), interval, *shares])
    heads = (f"% of {other.label}'s" for other in others)
    return markdown_table(["at equal", "bytes, % of AVIF's", "95 %", *heads], rows)


def _share(ours: Measured, other: Measured, metric: str, least: float) -> str:
    """Our bytes in per cent of another codec's at equal closeness and realism 0; a dash if not measured."""
    if not other.has(metric):
        return "–"
    anchor, test = (measured_curve(codec, metric, 0) for codec in (other, ours))
    return _formed("{:.0f}", 100 + bd_rate_if_shared(anchor, test, least=least))


def closeness(ours: Measured, avif: Measured) -> list[tuple[str, str, float]]:
    """The measures that both codecs have: label, metric, and the least value that counts."""
    found = []
    for metric, label in FIDELITY.items():
        if ours.has(metric) and avif.has(metric):
            found.append((label, metric, -math.inf))
            found += [(f"{label}, scores over {least}", metric, least) for least in _LEAST.get(metric, ())]
    return found


def speed_table(results: dict[str, Any]) -> str:
    """Milliseconds per image of all codecs in a result file of `bench measure rd`, as Markdown."""
    rows = []
    for record in (results, *results["peers"]):
        found = record["results"]
        encode, decode = (1000 * sum(found[key]) / len(found[key]) for key in _TIMES)
        rows.append([_label(record["name"]), f"{encode:.0f}", f"{decode:.0f}"])
    return markdown_table(["codec", "encode, ms", "decode, ms"], rows)


def _label(codec: str) -> str:
    family, _, model = codec.partition(":")
    if family == OURS:
        return f"our {model or DEFAULT_MODEL}"
    return PEERS[codec].label if codec in PEERS else codec


def _percent(value: float | None) -> str:
    return _formed("{:+.1f} %", value)


def _formed(form: str, value: float | None) -> str:
    """A figure as readers see it; a dash if it is undefined, for example if two curves share no quality."""
    return "–" if value is None or not math.isfinite(value) else form.format(value).replace("-", "−")
