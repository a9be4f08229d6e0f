"""`python -m bench report gate OLD NEW`: is a change of weights better, as one figure with its confidence?

The figure is the volume under the surface. Both runs are resampled with the same images, so the effects of
images that both runs share cancel. Fréchet and kernel distances have no value for a single image and cannot
be resampled in pairs. They are shown, but do not decide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from bench.analysis.bd_rate import BD_RESAMPLINGS, measured_bd_rate
from bench.analysis.measured import (
    INTERVAL,
    PERCEPTION,
    Measured,
    image_weights,
    load_measured,
    say_if_few,
)
from bench.analysis.volume import measured_volume, resampled_volumes
from bench.codecs import OURS
from rdpcodec.errors import UsageError


@dataclass(frozen=True)
class Verdict:
    """Volumes of two runs, their difference with its 95 % interval, and the share of resamplings in which the
    second is better."""

    old: float
    new: float
    interval: tuple[float, float]
    confidence: float

    @property
    def word(self) -> str:
        """better, worse or undecided."""
        low, high = self.interval
        if high < 0:
            return "better"
        return "worse" if low > 0 else "undecided"


def compared(old: Measured, new: Measured) -> Verdict:
    """Compare two runs on the same images. Raises `UsageError` if the images differ."""
    if old.images != new.images:
        raise UsageError(
            f"not measured on the same images: {len(old.images)} of {old.data} and {len(new.images)} "
            f"of {new.data}; measure both with the same --data"
        )
    if len(old.images) < 2:
        raise UsageError("one image says nothing about others; measure at least two")
    weights = image_weights(len(old.images))
    change = resampled_volumes(new, weights) - resampled_volumes(old, weights)
    low, high = np.percentile(change, INTERVAL)
    # Resamplings without any difference count as half.
    confidence = float(np.mean(change < 0) + np.mean(change == 0) / 2)
    return Verdict(measured_volume(old), measured_volume(new), (float(low), float(high)), confidence)


def bit_changes(old: Measured, new: Measured) -> list[str]:
    """Sentences on BD-rates of the second run against the first, at the realisms that both have."""
    weights = image_weights(len(old.images))[:BD_RESAMPLINGS]
    realisms, lines = (old.realisms.tolist(), new.realisms.tolist()), []
    for metric, label in (("psnr", "PSNR"), ("ms_ssim", "MS-SSIM"), ("lpips_alex", "LPIPS-AlexNet")):
        for realism in dict.fromkeys((realisms[0][0], realisms[0][-1])):
            if realism not in realisms[1] or not (old.has(metric) and new.has(metric)):
                continue
            columns = (realisms[0].index(realism), realisms[1].index(realism))
            found = measured_bd_rate(old, new, metric, columns, weights)
            # The curves share no quality, or only some of their resamplings do.
            if found["interval"] is None or not math.isfinite(found["value"]):
                continue
            low, high = found["interval"]
            lines.append(
                f"bits for equal {label} at realism {realism:g}: {found['value']:+.1f} % "
                f"(95 %: {low:+.1f} to {high:+.1f})"
            )
    return lines


def _at_common_settings(old: Measured, new: Measured) -> tuple[Measured, Measured]:
    """Reduce two runs to their common settings, and say so: settings alone change a volume.

    If either run has a single realism, both keep their realisms. Raises `UsageError` if they share
    too few settings.
    """
    qualities = np.intersect1d(old.qualities, new.qualities)
    realisms = np.intersect1d(old.realisms, new.realisms)
    if min(len(old.realisms), len(new.realisms)) == 1:
        both = [run.at(qualities, run.realisms) for run in (old, new)]
    else:
        both = [run.at(qualities, realisms) for run in (old, new)]
    if len(qualities) < 2 or not len(realisms):
        raise UsageError("not measured at the same settings; give both the same --qualities and --realisms")
    for name, before, after in zip(("old", "new"), (old, new), both, strict=True):
        if before.grid != after.grid:
            click.echo(f"{name}: settings that the other lacks are left out")
    return both[0], both[1]


def _run(path: Path) -> Measured:
    return load_measured(path / f"{OURS}.json" if path.is_dir() else path)


@click.command()
@click.argument("old", type=click.Path(exists=True, path_type=Path))
@click.argument("new", type=click.Path(exists=True, path_type=Path))
def gate(old: Path, new: Path) -> None:
    """Say whether NEW is better than OLD: folders of `bench measure surface`, or files <codec>.json.

    Exits with 1 if NEW is worse.
    """
    runs = _at_common_settings(_run(old), _run(new))
    verdict = compared(*runs)
    table = Table(title=f"{len(runs[0].images)} images of {runs[0].data}", title_justify="left")
    for column in ("means over all settings", "old", "new"):
        table.add_column(column, justify="left" if column.startswith("means") else "right")
    for label, metric, form in (
        ("bits per pixel", "bpp", "{:.4f}"),
        ("PSNR, dB", "psnr", "{:.3f}"),
        *((measure.label, measure.key, "{:.4g}") for measure in PERCEPTION.values()),
    ):
        if all(run.has(metric) for run in runs):
            table.add_row(label, *(form.format(run.mean(metric).mean()) for run in runs))
    table.add_row("[bold]volume under the surface", *(f"[bold]{v:.4f}" for v in (verdict.old, verdict.new)))
    Console().print(table)
    for line in bit_changes(*runs):
        click.echo(line)
    low, high = verdict.interval
    click.echo(
        f"{verdict.word}: volume {verdict.new - verdict.old:+.4f} (95 %: {low:+.4f} to {high:+.4f}), "
        f"smaller is better; better in {verdict.confidence:.1%} of the resamplings of the images"
    )
    say_if_few(runs[0])
    if verdict.word == "worse":
        raise click.exceptions.Exit(1)
