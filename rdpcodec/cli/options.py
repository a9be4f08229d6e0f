"""Options that several commands share."""

from __future__ import annotations

import logging
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from rdpcodec.engine.threads import MOST_THREADS, use_threads
from rdpcodec.errors import UsageError, WeightsError
from rdpcodec.files.storage import is_url, refuse_empty
from rdpcodec.limits import MAX_PIXELS
from rdpcodec.operating_point import AUTO, PRESETS, OperatingPoint, Realism, point_from_options
from rdpcodec.targets import Target
from rdpcodec.weights.manifest import DEFAULT_MODEL, encoders, find_model, manifest

if TYPE_CHECKING:
    from rdpcodec.batch.work import Compression

Command = Callable[..., Any]
Decorator = Callable[[Command], Command]


def together(*options: Decorator) -> Decorator:
    """Several options as one decorator, in the order in which `--help` lists them."""

    def decorated(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


class LocalPath(click.Path):
    """A path of this machine, as a `Path`. Refuses what a `Path` would make another name of: a URL, and an
    empty name, as unset variables of a shell give it, which would be the current folder. `./-` is a file:
    as a `Path` it would be standard input or output.
    """

    def __init__(self, *, file_okay: bool = True) -> None:
        super().__init__(path_type=Path, file_okay=file_okay, readable=False)  # reading gives better errors

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """The path. Raises `click.BadParameter` for an empty name, `UsageError` for a URL."""
        name = os.fspath(value)
        try:
            refuse_empty(name)
        except UsageError as error:
            self.fail(str(error), param, ctx)
        if is_url(name) and not os.path.lexists(name):
            raise UsageError(
                f"{name}: is a URL, which only SRC and DST of `rdpcodec batch` may be: give a path"
            )
        path = super().convert(value, param, ctx)
        return Path.cwd() / path if path == Path("-") and name != "-" else path


def inputs(name: str, metavar: str) -> Decorator:
    """The argument for one or more input files, or - for standard input."""
    return click.argument(name, nargs=-1, required=True, type=LocalPath(), metavar=metavar)


def _threads(context: click.Context, parameter: click.Parameter, count: int | None) -> None:
    """Let the networks of this process use so many threads."""
    if count is not None:
        use_threads(count)


def _verbose(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    """Print on standard error what the package logs."""
    if wanted:
        logging.basicConfig(format="%(message)s")
        logging.getLogger("rdpcodec").setLevel(logging.DEBUG)


process_options = together(
    click.option(
        "--threads",
        type=click.IntRange(1, MOST_THREADS),
        metavar="N",
        expose_value=False,
        callback=_threads,
        help="Threads of the networks; without it, what OMP_NUM_THREADS says, or one for each core.",
    ),
    click.option(
        "-v",
        "--verbose",
        is_flag=True,
        expose_value=False,
        callback=_verbose,
        help="Also print which models are loaded, and which qualities a target tries.",
    ),
)


def qualities_option(default: tuple[int, ...]) -> Decorator:
    """Qualities to show, as `qualities`."""
    return click.option(
        "-q",
        "--quality",
        "qualities",
        type=float,
        multiple=True,
        default=default,
        show_default=True,
        help="Quality to show, 0 to 100; may be given several times.",
    )


force_option = click.option("-f", "--force", is_flag=True, help="Overwrite outputs that exist.")
device_option = click.option(
    "--device", default="cpu", show_default=True, help="Where the networks run: cpu, cuda, …"
)


def _encoder(context: click.Context, parameter: click.Parameter, name: str) -> str:
    """Check that a model that is asked for exists and can encode."""
    if context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE:
        manifest()  # damaged weights are not a mistake in the command
        try:
            find_model(name).weights.check_encodes()
        except WeightsError as error:
            raise UsageError(str(error)) from error
    return name


model_option = click.option(
    "--model",
    callback=_encoder,
    default=DEFAULT_MODEL,
    show_default=True,
    shell_complete=lambda context, parameter, typed: [name for name in encoders() if name.startswith(typed)],
    help="Model to use; `rdpcodec models` lists them.",
)
runtime_option = click.option(
    "--onnxruntime-web",
    "runtime",
    type=LocalPath(),
    metavar="PACKAGE",
    envvar="RDPCODEC_ONNXRUNTIME_WEB",
    show_envvar=True,
    help="The npm package onnxruntime-web: its folder, or the archive that `npm pack` makes.",
)


def millions(context: click.Context, parameter: click.Parameter, number: float) -> int:
    """The count that an option gives in millions; "inf" means as many as there can be."""
    if math.isnan(number):
        raise click.BadParameter("nan is not a number", context, parameter)
    return int(min(number * 1e6, sys.maxsize))


def megapixels(context: click.Context, parameter: click.Parameter, number: float) -> int:
    """The pixels that an option gives in megapixels: a number that an image can have, or "inf"."""
    if math.isfinite(number) and number * 1e6 > MAX_PIXELS:
        most = f"no image has more than {MAX_PIXELS / 1e6:.0f}"
        raise click.BadParameter(f"{number:.12g} megapixels: {most}", context, parameter)
    return millions(context, parameter, number)


max_side_option = click.option(
    "--max-side", type=click.IntRange(1), metavar="N", help="Scale images down to at most N pixels a side."
)
max_pixels_option = click.option(
    "--max-pixels",
    type=click.FloatRange(0, min_open=True),
    default=MAX_PIXELS / 1e6,
    show_default="268",
    metavar="M",
    callback=megapixels,
    help="Refuse images over M megapixels: a small file can claim to be huge.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
report_options = together(
    click.option(
        "--quiet", is_flag=True, help="Print only warnings, errors, and a table or JSON that was asked for."
    ),
    json_option,
)
format_option = click.option(
    "--format",
    "suffix",
    default="png",
    show_default=True,
    callback=lambda context, parameter, extension: "." + extension.lstrip(".").lower(),
    help="Format to write if the output's name gives none.",
)

background_option = click.option(
    "--background",
    metavar="COLOUR",
    help="Put what is transparent in front of a colour, such as white or #ff8800: JPEG has no transparency.",
)


def _realism(context: click.Context, parameter: click.Parameter, value: str | None) -> Realism | None:
    """A number, or "auto"."""
    if value is None:
        return None
    try:
        return AUTO if value == AUTO else float(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither a number nor {AUTO}") from None


def flag(name: str) -> str:
    """An option as it is written on the command line."""
    return "--" + name.replace("_", "-")


_TARGETS: dict[str, tuple[Callable[[Any], Target], Any, str]] = {
    "target_bpp": (Target.bpp, float, "At most this many bits per pixel; otherwise as --target-size."),
    "target_size": (
        Target.size,
        str,
        "At most this many bytes: 800, 50kB, 1.5MB, 64KiB. Quality rises until they are used; -q bounds it.",
    ),
    "target_psnr": (Target.psnr, float, "At least this PSNR, in dB."),
    "target_ms_ssim": (Target.ms_ssim, float, "At least this MS-SSIM, 0 to 1; not under 161 pixels a side."),
    "target_ssimulacra2": (Target.ssimulacra2, float, "At least this SSIMULACRA2, 0 to 100."),
    "target_lpips": (
        Target.lpips,
        float,
        "At most this LPIPS. May be combined with --target-psnr, --target-ms-ssim or --target-ssimulacra2. "
        "Alone, give it --realism 1 or auto: at realism 0 it takes several times the bytes.",
    ),
}
# Names from version 0.1, which still work.
_OLD_NAMES = {"target_ms_ssim": ("--target-msssim",)}

compression_options = together(
    click.option(
        "-q",
        "--quality",
        type=float,
        help="0 (smallest file) to 100 (best image); 50 unless a preset or a target sets it. "
        "With --target-size or --target-bpp, the highest quality to take.",
    ),
    click.option("--preset", type=click.Choice(list(PRESETS)), help="A named choice of quality and realism."),
    *(
        click.option(flag(name), *_OLD_NAMES.get(name, ()), name, type=kind, metavar="X", help=text)
        for name, (_, kind, text) in _TARGETS.items()
    ),
    click.option(
        "--realism",
        callback=_realism,
        metavar="X",
        help="Default realism for decoding, 0 to 1, or auto to let the encoder choose; "
        "0 unless a preset sets it.",
    ),
    click.option(
        "--effort",
        type=int,
        help="How long to search for a better file, 0 to 9; 0 unless a preset sets it. From 1 on it needs "
        "torch, and the file may depend on the number of threads.",
    ),
    model_option,
    click.option(
        "--keep-metadata",
        is_flag=True,
        help="Keep EXIF, XMP, resolution and the ICC profile (then not applied); comments are dropped.",
    ),
    click.option(
        "--exact-alpha",
        is_flag=True,
        help="Keep every level of transparency, and the colours under full transparency. The image's visible "
        "colours stay lossy.",
    ),
)
# Options that say how images are compressed, and mean nothing to decompression.
COMPRESSION_ONLY = ("quality", "preset", *_TARGETS, "effort", "model", "keep_metadata", "exact_alpha")


def compression(
    *,
    model: str,
    keep_metadata: bool,
    exact_alpha: bool,
    device: str,
    max_side: int | None,
    max_pixels: int,
    **chosen: Any,
) -> Compression:
    """The work that the options ask for; `chosen` is what `operating_point` takes. Raises `UsageError`."""
    from rdpcodec.batch.work import Compression

    return Compression(
        operating_point(model, **chosen),
        model=model,
        keep_metadata=keep_metadata,
        exact_alpha=exact_alpha,
        device=device,
        max_side=max_side,
        max_pixels=max_pixels,
    )


def operating_point(
    model: str,
    *,
    quality: float | None,
    preset: str | None,
    realism: Realism | None,
    effort: int | None,
    **targets: Any,
) -> OperatingPoint:
    """The operating point that the options ask for. Its quality may be a target, or two: one for distortion
    and one for perception.

    Raises `UsageError` when options contradict each other, or the weights of `model` lack a setting.
    """
    given = [name for name, value in targets.items() if value is not None]
    bounds = [_TARGETS[name][0](targets[name]) for name in given]
    names = " and ".join(map(flag, given))
    bounds_rate = len(bounds) == 1 and bounds[0].is_of_rate
    if len(bounds) > 2 or (quality is not None and bounds and not bounds_rate):
        both = names if quality is None else f"--quality and {names}"
        raise UsageError(f"{both} each set the quality: give one of them")
    if len(bounds) == 2 and realism is not None:
        raise UsageError(f"--realism: {names} find the realism: leave it out")
    target = bounds[0] & bounds[1] if len(bounds) == 2 else next(iter(bounds), None)
    point = point_from_options(preset=preset, quality=quality, target=target, realism=realism, effort=effort)
    weights = find_model(model).weights
    weights.check_encodes()
    weights.check_point(point)
    return point
