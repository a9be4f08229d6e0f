"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from rdpcodec.weights import DEFAULT_MODEL

force_option = click.option("-f", "--force", is_flag=True, help="Overwrite outputs that exist.")
device_option = click.option(
    "--device", default="cpu", show_default=True, help="Where the networks run: cpu, cuda, …"
)
format_option = click.option(
    "--format",
    "extension",
    default="png",
    show_default=True,
    help="Format where the output's name gives none.",
)

_COMPRESSION = (
    click.option(
        "-q",
        "--quality",
        type=float,
        default=50,
        show_default=True,
        help="Rate: 0 (smallest) to 100 (best).",
    ),
    click.option(
        "--realism", type=float, default=0, show_default=True, help="Default realism of decoding, 0 to 1."
    ),
    click.option(
        "--effort",
        type=int,
        default=0,
        show_default=True,
        help="How long to search for a better file, 0 to 9.",
    ),
    click.option("--model", default=DEFAULT_MODEL, show_default=True, help="See `rdpcodec models`."),
    click.option("--keep-metadata", is_flag=True, help="Keep EXIF, and the ICC profile unapplied."),
)


def compression_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options quality, realism, effort, model and keep_metadata."""
    for option in reversed(_COMPRESSION):
        command = option(command)
    return command
