"""What the training commands share: kinds of values, and the options of a run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import click

from rdpcodec.format.container import SIZE_NUMBERS
from rdpcodec.training.settings import FidelitySettings, Launch, RealismSettings
from rdpcodec.weights.manifest import encoders, find_model

Command = Callable[..., Any]
Settings = TypeVar("Settings", FidelitySettings, RealismSettings, Launch)


class Finite(click.FloatRange):
    """A range without NaN and the infinities."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is no finite number", param, ctx)
        return number


SHARE = Finite(0, 1)
QUALITY = Finite(0, 100)
RATE = Finite(0, 1, min_open=True)
SEED = click.IntRange(0, 2**32)
FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)


def crop_side(context: click.Context, parameter: click.Parameter, value: int | None) -> int | None:
    """Check that the hyperprior can take crops with this side."""
    if value is None:
        return None
    if value % 64 or value <= 0:
        raise click.BadParameter(f"{value} is not a multiple of 64")
    return value


def weights_file(context: click.Context, parameter: click.Parameter, value: str | None) -> Path | None:
    """See `weights_path`."""
    return None if value is None else weights_path(value)


def weights_path(value: str) -> Path:
    """A file of weights, a folder of pieces, or an installed model by name. An existing path comes first."""
    path = Path(value)
    if path.is_file() or any(path.glob("piece-*.safetensors")):
        return path
    if value in encoders():
        return find_model(value).path
    raise click.BadParameter(f"{value!r} is neither a file nor an installed model ({', '.join(encoders())})")


BUDGET = Finite(0, min_open=True)
data_option = click.option("--data", type=FOLDER, required=True, help="Folder of training images.")
bfloat16_option = click.option(
    "--bfloat16", is_flag=True, help="Compute in bfloat16: faster where the hardware has it."
)
checkpoint_minutes_option = click.option(
    "--checkpoint-minutes", type=BUDGET, default=4.0, show_default=True, help="Minutes between checkpoints."
)
device_option = click.option("--device", help="cpu, cuda or cuda:N; by default a GPU if there is one.")
lpips_option = click.option(
    "--lpips-weights",
    type=click.Path(path_type=Path),
    help="lpips-squeeze.safetensors, or its folder.",
)
_COMMON = (
    data_option,
    click.option("--out", type=FOLDER, required=True, help="Folder of the run: checkpoint.pt, log.jsonl."),
    click.option("--minutes", type=BUDGET, help="Budget in minutes of wall-clock time."),
    click.option("--gigapixels", type=BUDGET, help="Budget in 10^9 pixels of crops."),
    click.option("--resume", is_flag=True, help="Go on from the checkpoint in --out."),
    bfloat16_option,
    checkpoint_minutes_option,
    device_option,
    click.option(
        "--previous",
        callback=weights_file,
        metavar="FILE|MODEL",
        help="Weights that --init was trained from, to carry over their realism synthesis.",
    ),
    lpips_option,
)
compile_option = click.option(
    "--compile",
    "compiled",
    type=click.Choice(("loss", "blocks")),
    is_flag=False,
    flag_value="loss",  # alone
    help="Compile the whole loss, for long runs on a GPU, or only the blocks, to start sooner.",
)
# Settings whose defaults depend on the kind of run: how a value is read, and what the help says.
_SETTINGS: dict[str, dict[str, Any]] = {
    "batch": {"type": click.IntRange(1), "help": "Crops per step and process."},
    "crop": {"callback": crop_side, "help": "Side of the crops in pixels, a multiple of 64."},
    "learning_rate": {"type": RATE, "help": "Peak learning rate."},
    "decay": {
        "type": SHARE,
        "help": "Last share of the budget, in which the learning rate falls to zero; 0 keeps it constant.",
    },
    "qualities": {
        "type": (QUALITY, QUALITY),
        "metavar": "LOW HIGH",
        "help": "Lowest and highest quality to train for.",
    },
    "seed": {"type": SEED, "help": "Seed of all random numbers of the run."},
}


def share_option(name: str, default: float, text: str | None = None) -> Callable[[Command], Command]:
    """An option that is a share, 0 to 1."""
    return click.option(name, type=SHARE, default=default, show_default=True, help=text)


def texture_option(default: float) -> Callable[[Command], Command]:
    """The option for the share of texture in the realism synthesis's distortion."""
    text = "Share of the realism synthesis's distortion that a distortion of texture replaces."
    return share_option("--texture", default, text)


def size_option(default: str | None = None, text: str | None = None) -> Callable[[Command], Command]:
    """The option for the size of a new model."""
    sizes = click.Choice([size for size in SIZE_NUMBERS if size != "own"])
    return click.option("--size", type=sizes, default=default, show_default=bool(default), help=text)


def run_options(defaults: FidelitySettings | RealismSettings) -> Callable[[Command], Command]:
    """The options that all kinds of training share, with the defaults of a run."""
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


def settings_of(kind: type[Settings], chosen: dict[str, Any]) -> Settings:
    """Settings from the options that are named like them. Raises `click.UsageError` for a run without a
    budget, or with two.
    """
    if (chosen["minutes"] is None) == (chosen["gigapixels"] is None):
        raise click.UsageError("give --minutes or --gigapixels")
    return kind(**{field.name: chosen[field.name] for field in fields(kind)})
