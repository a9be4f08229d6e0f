"""The commands that train and export: `rdpcodec train fidelity`, `rdpcodec train realism`, `rdpcodec export`.

`python -m rdpcodec.training` is the same where only torch, NumPy, Pillow, safetensors and click are
installed (to export, onnx too), and what torchrun starts. Nothing here imports torch before a command runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from rdpcodec.container import SIZE_NUMBERS
from rdpcodec.extras import need, need_torch
from rdpcodec.training.runs import TRAINS, FidelityRun, RealismRun
from rdpcodec.training.schedule import Budget
from rdpcodec.weights.manifest import encoders, find_model

Command = Callable[..., Any]
_SHARE = click.FloatRange(0, 1)
_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)


def _crop(context: click.Context, parameter: click.Parameter, value: int) -> int:
    if value % 64 or value <= 0:
        raise click.BadParameter(f"{value} is no multiple of 64")
    return value


def _weights(context: click.Context, parameter: click.Parameter, value: str | None) -> Path | None:
    """A file of weights, or that of an installed model by its name. A file that is there comes first."""
    if value is None or Path(value).is_file():
        return None if value is None else Path(value)
    if value in encoders():
        return find_model(value).path
    raise click.BadParameter(f"{value!r} is neither a file nor an installed model ({', '.join(encoders())})")


_COMMON = (
    click.option("--data", type=_FOLDER, required=True, help="Folder of training images."),
    click.option("--out", type=_FOLDER, required=True, help="Folder of the run: checkpoint.pt, log.jsonl."),
    click.option("--minutes", type=float, help="Budget in minutes of wall-clock time."),
    click.option("--gigapixels", type=float, help="Budget in 10^9 pixels of crops."),
    click.option("--resume", is_flag=True, help="Go on from the checkpoint in --out."),
    click.option("--bfloat16", is_flag=True, help="For processors and accelerators that have it."),
    click.option("--checkpoint-minutes", default=4.0, show_default=True),
    click.option("--device", help="cpu, cuda, …; by default a GPU where there is one."),
    click.option(
        "--previous",
        callback=_weights,
        metavar="FILE|MODEL",
        help="Weights that --init was trained from, to carry their realism over.",
    ),
    click.option(
        "--lpips-weights",
        type=click.Path(path_type=Path),
        help="lpips-squeeze.safetensors, or the folder it is in.",
    ),
)
_TEXTURE: dict[str, Any] = {
    "type": _SHARE,
    "show_default": True,
    "help": "Share of the realism synthesis's distortion that gives way to the Wasserstein distortion.",
}
# Settings of a run whose defaults are its own: how a value is read, and what the help says.
_SETTINGS: dict[str, dict[str, Any]] = {
    "batch": {"help": "Crops a step and process."},
    "crop": {"callback": _crop, "help": "Side of the crops: 64·n pixels."},
    "learning_rate": {},
    "decay": {
        "type": click.FloatRange(0, 1, min_open=True),
        "help": "Last part of the budget, in which the learning rate falls to zero.",
    },
    "seed": {},
}


def run_options(defaults: FidelityRun | RealismRun) -> Callable[[Command], Command]:
    """The options that all trainings share, with the defaults of a run."""
    settings = (
        click.option("--" + name.replace("_", "-"), default=getattr(defaults, name), show_default=True, **how)
        for name, how in _SETTINGS.items()
    )
    options = (*_COMMON, *settings)

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _run(kind: type[Any], chosen: dict[str, Any]) -> Any:
    """The run that the options ask for; what is left of `chosen` is no setting of a run."""
    if (chosen["minutes"] is None) == (chosen["gigapixels"] is None):
        raise click.UsageError("give --minutes or --gigapixels")
    return kind(**{field.name: chosen.pop(field.name) for field in fields(kind)})


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def train() -> None:
    """Train weights on a folder of images. A run reports in JSON: a line at a time, in its log.jsonl."""


@train.command()
@run_options(FidelityRun())
@click.option(
    "--init",
    callback=_weights,
    metavar="FILE|MODEL",
    help="Start from an installed model (fast), from weights (.safetensors) or from a run's checkpoint.pt.",
)
@click.option(
    "--trains",
    type=click.Choice(TRAINS),
    default=FidelityRun.trains,
    show_default=True,
    help="The decoder is prior and synthesis; without the encoder, both learn from what it rounds to.",
)
@click.option(
    "--perception",
    type=_SHARE,
    default=FidelityRun.perception,
    show_default=True,
    help="Share of the distortion that is the realism synthesis's, which then learns too.",
)
@click.option("--texture", default=FidelityRun.texture, **_TEXTURE)
@click.option(
    "--eyes",
    type=_SHARE,
    default=FidelityRun.eyes,
    show_default=True,
    help="Share of the squared error that gives way to SSIMULACRA2.",
)
@click.option(
    "--graphics",
    type=_SHARE,
    default=FidelityRun.graphics,
    show_default=True,
    help="Share of the crops that are drawn: text, charts, screens, line art.",
)
@click.option(
    "--size",
    type=click.Choice([s for s in SIZE_NUMBERS if s != "own"]),
    help="Of a new model; by default fast.",
)
@click.option("--compile", "compile_model", is_flag=True, help="torch.compile, for long runs on a GPU.")
def fidelity(
    data: Path,
    out: Path,
    init: Path | None,
    previous: Path | None,
    lpips_weights: Path | None,
    compile_model: bool,
    resume: bool,
    device: str | None,
    checkpoint_minutes: float,
    **chosen: Any,
) -> None:
    """Rate and distortion, all qualities at once."""
    need_torch("training")
    run = _run(FidelityRun, chosen)
    from rdpcodec.training.fidelity import Fidelity
    from rdpcodec.training.run import train as train_run

    train_run(
        lambda where: Fidelity(
            run, data, where, init=init, previous=previous, lpips=lpips_weights, compile_model=compile_model
        ),
        Budget(run.minutes, run.gigapixels, run.decay),
        out,
        device=device,
        resume=resume,
        checkpoint_minutes=checkpoint_minutes,
    )


@train.command()
@run_options(RealismRun())
@click.option(
    "--init",
    callback=_weights,
    metavar="FILE|MODEL",
    required=True,
    help="Released weights (.safetensors), or an installed model (fast).",
)
@click.option(
    "--adversary",
    default=RealismRun.adversary,
    show_default=True,
    help="Strength of the adversary's gradient, against the distortion's.",
)
@click.option("--texture", default=RealismRun.texture, **_TEXTURE)
def realism(
    data: Path,
    out: Path,
    init: Path,
    previous: Path | None,
    lpips_weights: Path | None,
    resume: bool,
    device: str | None,
    checkpoint_minutes: float,
    **chosen: Any,
) -> None:
    """A second synthesis, for realism, on a frozen encoder. Needs the extra train."""
    need_torch("training")
    run = _run(RealismRun, chosen)
    from rdpcodec.training.realism import Realism
    from rdpcodec.training.run import train as train_run

    train_run(
        lambda where: Realism(run, data, where, init=init, previous=previous, lpips=lpips_weights),
        Budget(run.minutes, run.gigapixels, run.decay),
        out,
        device=device,
        resume=resume,
        checkpoint_minutes=checkpoint_minutes,
    )


@click.command()
@click.argument("checkpoint", type=_FILE)
@click.argument("folder", type=_FOLDER)
@click.option("--data", type=_FOLDER, required=True, help="The training images, to count tables on.")
@click.option("--name", help="Of the model; by default that of its size.")
def export(checkpoint: Path, folder: Path, data: Path, name: str | None) -> None:
    """Make released weights of a training run: CHECKPOINT is its checkpoint.pt, FOLDER holds weights."""
    need_torch("export")
    need("onnx", "export", "train")
    from rdpcodec.training.export import export as export_run

    click.echo(json.dumps(export_run(checkpoint, data, name, folder), indent=2))


@click.command()
@click.argument("folder", type=_FOLDER)
def graphs(folder: Path) -> None:
    """Write the ONNX graphs of all weights in FOLDER anew: those of a release from before there were any."""
    need("onnx", "graphs", "train")
    from rdpcodec.training.graphs import add_graphs

    click.echo(f"{folder}: graphs of {', '.join(add_graphs(folder))}")


@click.command()
@click.argument("model")
@click.argument("folder", type=_FOLDER)
@click.option("--whole", is_flag=True, help="Keep the encoder's tensors, and so the file's bytes.")
def retire(model: str, folder: Path, whole: bool) -> None:
    """Let MODEL of FOLDER only decode, under the name that its files have for it, before another follows."""
    need("onnx", "retire", "train")
    from rdpcodec.training.retire import retire as retire_model

    click.echo(f"{folder}: {model} is {retire_model(model, folder, whole=whole)} now")
