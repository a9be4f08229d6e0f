"""The commands that train and export: `rdpcodec train fidelity`, `rdpcodec train realism`, `rdpcodec export`.

`python -m rdpcodec.training` does the same where only torch, NumPy, Pillow, safetensors and click are
installed (and onnx, to export); torchrun starts it, too. Nothing here imports torch before a command runs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from rdpcodec.extras import need, need_torch
from rdpcodec.training.large.command import large
from rdpcodec.training.options import (
    BUDGET,
    FILE,
    FOLDER,
    Finite,
    bfloat16_option,
    compile_option,
    crop_side,
    data_option,
    device_option,
    lpips_option,
    run_options,
    settings_of,
    share_option,
    size_option,
    texture_option,
    weights_file,
)
from rdpcodec.training.settings import TRAINS, FidelitySettings, Launch, RealismSettings


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def train() -> None:
    """Train weights on a folder of images. A run logs lines of JSON to its log.jsonl."""


@train.command()
@run_options(FidelitySettings())
@click.option(
    "--init",
    callback=weights_file,
    metavar="FILE|MODEL",
    help="Start from an installed model (fast), weights (.safetensors), or a run's checkpoint.pt or pieces.",
)
@click.option(
    "--trains",
    type=click.Choice(TRAINS),
    default=FidelitySettings.trains,
    show_default=True,
    help="What learns; the rest is frozen. The decoder (prior and synthesis) learns from rounded latents.",
)
@share_option(
    "--perception",
    FidelitySettings.perception,
    "Share of the crops that are judged by the realism synthesis, which then learns too.",
)
@texture_option(FidelitySettings.texture)
@share_option(
    "--eyes",
    FidelitySettings.eyes,
    "Share of the squared error that SSIMULACRA2 replaces.",
)
@share_option(
    "--coarse",
    FidelitySettings.coarse,
    "Share of the squared error that errors of means over 2 to 16 pixels replace.",
)
@share_option(
    "--graphics",
    FidelitySettings.graphics,
    "Share of the crops that are drawn: text, charts, screens, line art.",
)
@size_option(text="Architecture size of a new model; by default fast.")
@compile_option
def fidelity(
    data: Path,
    init: Path | None,
    previous: Path | None,
    lpips_weights: Path | None,
    compiled: str | None,
    **chosen: Any,
) -> None:
    """Train a codec for all qualities at once: encoder, prior and fidelity synthesis."""
    need_torch("training")
    settings = settings_of(FidelitySettings, chosen)
    if settings.trains != "everything" and init is None:
        raise click.UsageError(
            f"--trains {settings.trains} freezes the encoder: give --init, to start from one"
        )
    if not settings.perception and (previous or lpips_weights):
        raise click.UsageError(
            "--previous and --lpips-weights are for a realism synthesis: give --perception"
        )
    if previous and init is None:
        raise click.UsageError("--previous continues the weights before those of --init: give --init")
    from rdpcodec.training.launch import train as train_run
    from rdpcodec.training.objectives.fidelity import Fidelity

    train_run(
        lambda device: Fidelity(
            settings, data, device, init=init, previous=previous, lpips=lpips_weights, compiled=compiled
        ),
        settings_of(Launch, chosen),
    )


@train.command()
@run_options(RealismSettings())
@click.option(
    "--init",
    callback=weights_file,
    metavar="FILE|MODEL",
    required=True,
    help="Released weights (.safetensors), or an installed model (fast).",
)
@click.option(
    "--adversary",
    type=Finite(0),
    default=RealismSettings.adversary,
    show_default=True,
    help="Strength of the adversary's gradient relative to the distortion's; 0 for no adversary.",
)
@texture_option(RealismSettings.texture)
@share_option(
    "--features",
    RealismSettings.features,
    "Share of the distortion that a distance between the discriminator's features replaces.",
)
@share_option("--warmup", RealismSettings.warmup, "Share of the budget before the adversary joins.")
@click.option(
    "--discriminator",
    type=FILE,
    help="checkpoint.pt of an earlier realism run whose discriminator is to go on learning.",
)
def realism(
    data: Path,
    init: Path,
    previous: Path | None,
    lpips_weights: Path | None,
    discriminator: Path | None,
    **chosen: Any,
) -> None:
    """Train the realism synthesis of existing weights; their encoder stays. Needs the extra train."""
    need_torch("training")
    settings = settings_of(RealismSettings, chosen)
    if discriminator and not settings.adversary:
        raise click.UsageError("--discriminator is for a run with an adversary: leave --adversary 0 out")
    from rdpcodec.training.launch import train as train_run
    from rdpcodec.training.objectives.realism import Realism

    train_run(
        lambda device: Realism(
            settings,
            data,
            device,
            init=init,
            previous=previous,
            lpips=lpips_weights,
            discriminator=discriminator,
        ),
        settings_of(Launch, chosen),
    )


train.add_command(large)


@train.command()
@click.argument("checkpoint", type=FILE)
@click.argument("folder", type=FOLDER)
def split(checkpoint: Path, folder: Path) -> None:
    """Write a run's weights and averages to FOLDER, as pieces of less than 16 MiB.

    The folder can be given wherever a run's checkpoint.pt is read: the pieces are joined automatically.
    """
    need_torch("training")
    from rdpcodec.training.checkpoints.checkpoint import load_run
    from rdpcodec.training.checkpoints.pieces import split as split_state

    for path in split_state(load_run(checkpoint), folder):
        click.echo(path)


@train.command()
@data_option
@size_option("large")
@click.option("--batch", type=click.IntRange(1), default=64, show_default=True, help="Crops per step.")
@click.option(
    "--crop",
    default=256,
    show_default=True,
    callback=crop_side,
    help="Side of the crops in pixels, a multiple of 64.",
)
@click.option("--trains", type=click.Choice(TRAINS), default=FidelitySettings.trains, show_default=True)
@share_option("--eyes", FidelitySettings.eyes)
@share_option("--coarse", FidelitySettings.coarse)
@share_option("--perception", 0.0)
@bfloat16_option
@compile_option
@click.option(
    "--steps",
    type=click.IntRange(1),
    default=25,
    show_default=True,
    help="Steps to measure, after warm-up.",
)
@click.option(
    "--peak",
    type=BUDGET,
    help="Peak of the device in TFLOP/s, to print what share of it is used.",
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
    """Show where the time of a fidelity training step goes. Writes no files."""
    need_torch("training")
    from rdpcodec.training.speed.profile import profile_steps

    found = profile_steps(
        FidelitySettings(**chosen), data, steps, device=device, compiled=compiled, lpips=lpips_weights
    )
    click.echo(json.dumps(found.record(peak), indent=2) if as_json else found.table(peak))


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("folder", type=FOLDER)
@click.option(
    "--data", type=FOLDER, required=True, help="Folder of the training images, on which tables are counted."
)
@click.option("--name", help="Name of the model; by default that of its size.")
@click.option("--replace", is_flag=True, help="Replace a model even if its files would no longer decode.")
def export(checkpoint: Path, folder: Path, data: Path, name: str | None, replace: bool) -> None:
    """Make released weights from a training run. CHECKPOINT is its checkpoint.pt or the folder of its
    pieces; FOLDER is a folder of weights."""
    need_torch("export")
    need("onnx", "export", "train")
    from rdpcodec.training.export.export import export as export_run

    click.echo(json.dumps(export_run(checkpoint, data, name, folder, replace=replace), indent=2))


@train.command()
@click.argument("model")
@click.argument("folder", type=FOLDER)
@click.option("--data", type=FOLDER, required=True, help="Folder of the training images.")
def context(model: str, folder: Path, data: Path) -> None:
    """Give MODEL in FOLDER a context network, the last step of a release: files get smaller, and images stay
    as they are. Takes about twelve minutes."""
    need_torch("context")
    need("onnx", "context", "train")
    from rdpcodec.training.export.context import add_context

    saved = add_context(model, folder, data)
    click.echo(
        f"{folder}: {model} has a context network now. Hyper-latents of held-out images take "
        f"{saved.after} bytes, before {saved.before}"
    )


@train.command()
@click.argument("folder", type=FOLDER)
def graphs(folder: Path) -> None:
    """Write the ONNX graphs of all weights in FOLDER anew, for releases made before there were graphs."""
    need("onnx", "graphs", "train")
    from rdpcodec.training.export.graphs import add_graphs

    click.echo(f"{folder}: graphs of {', '.join(add_graphs(folder))}")


@train.command()
@click.argument("model")
@click.argument("folder", type=FOLDER)
@click.option("--whole", is_flag=True, help="Keep the encoder's tensors, so that the file stays the same.")
def retire(model: str, folder: Path, whole: bool) -> None:
    """Make MODEL in FOLDER decode only, under the name that its files use, before another replaces it."""
    need("onnx", "retire", "train")
    from rdpcodec.training.export.retire import retire as retire_model

    click.echo(f"{folder}: {model} is {retire_model(model, folder, whole=whole)} now")
