"""The commands that train `large` in parts, carry it between machines, and say where time goes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from rdpcodec.extras import need_torch
from rdpcodec.training.options import (
    BUDGET,
    FILE,
    FOLDER,
    RATE,
    SEED,
    bfloat16_option,
    checkpoint_minutes_option,
    compile_option,
    crop_side,
    data_option,
    device_option,
    lpips_option,
    share_option,
    size_option,
    weights_path,
)
from rdpcodec.training.parts import MINUTES, PARTS
from rdpcodec.training.runs import TRAINS, FidelityRun, RealismRun

_PARTS_IN_WORDS = "\n".join(f"    {number}  {part.what}" for number, part in PARTS.items())


@click.command(
    help=f"""Train the size large in parts of half an hour on a GPU, each on any machine.

    \b
{_PARTS_IN_WORDS}

    A part leaves its weights in OUT/part-N/pieces, files of less than 16 MiB: all that the next needs. Before
    part 5, export part 4 to OUT/weights."""
)
@click.option("--part", "number", type=click.IntRange(1, len(PARTS)), required=True, help="Which part.")
@data_option
@click.option("--out", type=FOLDER, required=True, help="Folder of all parts.")
@click.option(
    "--minutes", type=BUDGET, help=f"Budget in minutes of wall-clock time; {MINUTES:g} if not given."
)
@click.option("--gigapixels", type=BUDGET, help="Budget in 10^9 pixels of crops, in place of minutes.")
@click.option("--batch", type=click.IntRange(1), help="Crops a step and process, if not those of the part.")
@click.option("--crop", type=int, callback=crop_side, help="Side of the crops, 64·n pixels, likewise.")
@click.option("--learning-rate", type=RATE, help="At its peak, likewise.")
@click.option("--seed", type=SEED, help="Likewise.")
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
    if compiled and isinstance(PARTS[number].run, RealismRun):
        raise click.UsageError(f"--compile: part {number} is not compiled")
    changes = {name: value for name, value in chosen.items() if value is not None}
    run = replace(PARTS[number].run, minutes=minutes, gigapixels=gigapixels, **changes)
    judge = weights_path(against) if PARTS[number].judged else None
    from rdpcodec.training.large import train_part

    pieces = train_part(
        number,
        run,
        data,
        out,
        against=judge,
        lpips=lpips_weights,
        compiled=compiled,
        device=device,
        resume=resume,
        checkpoint_minutes=checkpoint_minutes,
    )
    for path in pieces:
        click.echo(path)


@click.command()
@click.argument("checkpoint", type=FILE)
@click.argument("folder", type=FOLDER)
def split(checkpoint: Path, folder: Path) -> None:
    """Write a run's weights and averages to FOLDER, as pieces of less than 16 MiB.

    Wherever a run's checkpoint.pt is read, the folder may stand in its place: they join by themselves.
    """
    need_torch("training")
    import torch

    from rdpcodec.training.checkpoint import load_checkpoint
    from rdpcodec.training.pieces import split as split_state

    for path in split_state(load_checkpoint(checkpoint, torch.device("cpu")), folder):
        click.echo(path)


@click.command()
@data_option
@size_option("large")
@click.option("--batch", type=click.IntRange(1), default=64, show_default=True, help="Crops a step.")
@click.option(
    "--crop", default=256, show_default=True, callback=crop_side, help="Side of the crops: 64·n pixels."
)
@click.option("--trains", type=click.Choice(TRAINS), default=FidelityRun.trains, show_default=True)
@share_option("--eyes", FidelityRun.eyes)
@share_option("--perception", 0.0)
@bfloat16_option
@compile_option
@click.option(
    "--steps",
    type=click.IntRange(1),
    default=25,
    show_default=True,
    help="To measure, after as many warm-ups as it takes.",
)
@click.option(
    "--peak",
    type=BUDGET,
    help="Of the device, in TFLOP/s: to say what share is used.",
)
@device_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@lpips_option
def profile(
    data: Path,
    compiled: str | None,
    steps: int,
    peak: float | None,
    device: str | None,
    as_json: bool,
    lpips_weights: Path | None,
    **chosen: Any,
) -> None:
    """Say where the time of a step of fidelity training goes. Nothing is written."""
    need_torch("training")
    from rdpcodec.training.profile import profile_steps

    found = profile_steps(
        FidelityRun(**chosen), data, steps, device=device, compiled=compiled, lpips=lpips_weights
    )
    click.echo(json.dumps(found.record(peak), indent=2) if as_json else found.table(peak))
