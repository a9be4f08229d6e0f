"""The command that trains `large`, part by part."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from rdpcodec.extras import need_torch
from rdpcodec.training.large.parts import MINUTES, PARTS
from rdpcodec.training.options import (
    BUDGET,
    FOLDER,
    RATE,
    SEED,
    checkpoint_minutes_option,
    compile_option,
    crop_side,
    data_option,
    device_option,
    lpips_option,
    weights_path,
)
from rdpcodec.training.settings import Launch, RealismSettings

_PARTS_IN_WORDS = "\n".join(f"    {number}  {part.what}" for number, part in PARTS.items())


@click.command(
    help=f"""Train a model of size large, in five parts of half an hour each on a GPU.

    \b
{_PARTS_IN_WORDS}

    Part N writes its weights to OUT/part-N/pieces, in files of less than 16 MiB, and the next part needs
    nothing else. Only part 5 needs part 4 exported to OUT/weights."""
)
@click.option("--part", "number", type=click.IntRange(1, len(PARTS)), required=True, help="Part to train.")
@data_option
@click.option("--out", type=FOLDER, required=True, help="Folder of all parts.")
@click.option(
    "--minutes", type=BUDGET, help=f"Budget in minutes of wall-clock time; {MINUTES:g} if not given."
)
@click.option("--gigapixels", type=BUDGET, help="Budget in 10^9 pixels of crops, in place of minutes.")
@click.option(
    "--batch", type=click.IntRange(1), help="Crops per step and process; by default those of the part."
)
@click.option(
    "--crop",
    type=int,
    callback=crop_side,
    help="Side of the crops in pixels, a multiple of 64; by default that of the part.",
)
@click.option("--learning-rate", type=RATE, help="Peak learning rate; by default that of the part.")
@click.option("--seed", type=SEED, help="Seed; by default that of the part.")
@click.option("--resume", is_flag=True, help="Go on with a part that was cut off, from its checkpoint.")
@checkpoint_minutes_option
@device_option
@click.option(
    "--against",
    default="fast",
    show_default=True,
    metavar="FILE|MODEL",
    help="Weights that part 2 is judged by.",
)
@compile_option
@lpips_option
def large(
    number: int,
    data: Path,
    out: Path,
    against: str,
    compiled: str | None,
    lpips_weights: Path | None,
    resume: bool,
    device: str | None,
    checkpoint_minutes: float,
    minutes: float | None,
    gigapixels: float | None,
    **chosen: Any,
) -> None:
    need_torch("training")
    if minutes is not None and gigapixels is not None:
        raise click.UsageError("give --minutes or --gigapixels")
    if minutes is None and gigapixels is None:
        minutes = MINUTES
    if compiled and isinstance(PARTS[number].settings, RealismSettings):
        raise click.UsageError(f"--compile: part {number} is not compiled")
    changes = {name: value for name, value in chosen.items() if value is not None}
    settings = replace(PARTS[number].settings, minutes=minutes, gigapixels=gigapixels, **changes)
    judge = weights_path(against) if PARTS[number].judged else None
    from rdpcodec.training.large.train import train_part

    launch = Launch(out, device, resume, checkpoint_minutes)
    for path in train_part(
        number, settings, data, launch, against=judge, lpips=lpips_weights, compiled=compiled
    ):
        click.echo(path)
