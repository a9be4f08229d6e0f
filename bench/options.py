"""Options that several commands of the bench share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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


def with_options(command: Command, options: Iterable[Callable[[Command], Command]]) -> Command:
    """A command with these options, which its help shows in this order."""
    for option in reversed([*options]):
        command = option(command)
    return command
