"""Options that several commands of the bench share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click

Command = Callable[..., Any]

lpips_option = click.option(
    "--lpips-weights",
    type=click.Path(path_type=Path, exists=True),
    help="Folder of the LPIPS networks; otherwise RDPCODEC_LPIPS or the lpips package.",
)
json_option = click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="FILE.json for the results."
)
workers_option = click.option(
    "--workers", type=click.IntRange(1), default=os.cpu_count(), show_default=True, help="Processes."
)


def numbers_option(
    name: str, default: Sequence[float], most: float, count: int = 1
) -> Callable[[Command], Command]:
    """An option for numbers from 0 to `most` with commas between them, which the command takes rising.

    count: how many different numbers it needs.
    """

    def parsed(context: click.Context, parameter: click.Parameter, text: str) -> tuple[float, ...]:
        try:
            numbers = sorted({float(word) for word in text.split(",")})
        except ValueError:
            raise click.BadParameter(f"{text!r}: give numbers with commas between them") from None
        for number in numbers:
            if not 0 <= number <= most:
                raise click.BadParameter(f"{number:g} is outside 0..{most:g}")
        if len(numbers) < count:
            raise click.BadParameter(f"{text!r}: give {count} different numbers or more, for a curve")
        return tuple(numbers)

    shown = ",".join(f"{number:g}" for number in default)
    return click.option(name, default=shown, show_default=True, callback=parsed)


def qualities_option(default: Sequence[float], count: int = 1) -> Callable[[Command], Command]:
    """The option `--qualities`. count: 2 for commands whose results are curves, such as BD-rates."""
    return numbers_option("--qualities", default, most=100, count=count)


def with_options(command: Command, options: Iterable[Callable[[Command], Command]]) -> Command:
    """A command with these options, which its help shows in this order."""
    for option in reversed([*options]):
        command = option(command)
    return command
