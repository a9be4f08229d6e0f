"""Options of the commands that train groups of models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any

import click
import torch

from bench.folder import FOLDER
from bench.options import Command, with_options
from bench.papers.reproduction import result_options
from bench.papers.wgan.data import Split
from bench.papers.wgan.run import P, Run
from rdpcodec.model.device import usable_device


@dataclass(frozen=True)
class TrainingOptions:
    """How a command trains. grid: the name of its plan; seeds: how many of the plan's, None for all; keep: do
    not train again what the results hold.
    """

    grid: str
    seeds: int | None
    device: torch.device
    workers: int
    checkpoints: Path
    keep: bool

    def run(self, plan: P, data: Split) -> Run[P]:
        """A plan on these images, with as many of its seeds as are asked for."""
        return Run(replace(plan, seeds=plan.seeds[: self.seeds]), data, self.device, self.checkpoints)


def mnist_option(name: str) -> Callable[[Command], Command]:
    """An option that names a folder of MNIST."""
    return click.option(
        name, type=FOLDER, help="Folder of MNIST's four IDX files; otherwise torchvision downloads them."
    )


def training_options(name: str, grids: str) -> Callable[[Command], Command]:
    """The options of a command that trains groups; it takes them as `training`, besides `out` and `page`.

    name: of its results; its checkpoints are in `build/<name>-<grid>`. grids: a description of the grids.
    """
    options = (
        click.option(
            "--grid",
            type=click.Choice(("full", "cores", "quick")),
            default="full",
            show_default=True,
            help=grids,
        ),
        click.option(
            "--seeds", type=click.IntRange(1), help="How many of the grid's seeds to train.  [default: all]"
        ),
        click.option("--device", default="cpu", show_default=True, help="Device to train on."),
        click.option(
            "--workers",
            type=click.IntRange(1),
            default=1,
            show_default=True,
            help="Processes that train groups side by side; on a CPU, one per core is fastest.",
        ),
        click.option(
            "--keep",
            is_flag=True,
            help="Train only what the results in --out lack, as another of --seeds; figures of images show "
            "what was trained here.",
        ),
        click.option(
            "--runs",
            type=click.Path(path_type=Path, file_okay=False),
            help="Folder of checkpoints, from which a killed run resumes.  "
            f"[default: build/{name} with the name of the grid]",
        ),
        result_options(name),
    )

    def decorate(command: Command) -> Command:
        @wraps(command)
        def with_training(
            grid: str,
            seeds: int | None,
            device: str,
            workers: int,
            keep: bool,
            runs: Path | None,
            **rest: Any,
        ) -> None:
            checkpoints = runs or Path(f"build/{name}-{grid}")
            training = TrainingOptions(grid, seeds, usable_device(device), workers, checkpoints, keep)
            command(training=training, **rest)

        return with_options(with_training, options)

    return decorate
