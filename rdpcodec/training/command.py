"""What the command lines of all trainings share: budget, folder, batches, processes, errors."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from rdpcodec.errors import RdpError
from rdpcodec.training.allocator import keep_freed_memory
from rdpcodec.training.loop import Loop, Objective
from rdpcodec.training.schedule import Budget

Run = TypeVar("Run")


def training_parser(prog: str, description: str, defaults: Any) -> argparse.ArgumentParser:
    """A parser with the common options; `defaults` is a run's dataclass with its default values."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument("--data", type=Path, required=True, help="folder of training pictures")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run: checkpoint.pt, log.jsonl")
    parser.add_argument("--minutes", type=float, help="budget in minutes of wall-clock time")
    parser.add_argument("--gigapixels", type=float, help="budget in 10^9 pixels of crops")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    parser.add_argument("--batch", type=int, default=defaults.batch, help="crops a step and process")
    parser.add_argument("--crop", type=int, default=defaults.crop, help="side of the crops, multiple of 64")
    parser.add_argument("--learning-rate", type=float, default=defaults.learning_rate)
    parser.add_argument(
        "--decay",
        type=float,
        default=defaults.decay,
        metavar="SHARE",
        help="last part of the budget, in which the learning rate falls to zero",
    )
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument(
        "--bfloat16", action="store_true", help="for processors and accelerators that have it"
    )
    parser.add_argument("--checkpoint-minutes", type=float, default=4)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser


def add_realism_options(parser: argparse.ArgumentParser) -> None:
    """Where a realism synthesis starts, and the network that it learns from."""
    parser.add_argument(
        "--previous", type=Path, help="weights that --init was trained from, to carry their realism over"
    )
    parser.add_argument(
        "--lpips-weights", type=Path, help="lpips-squeeze.safetensors, or the folder it is in"
    )


def parse_run(
    parser: argparse.ArgumentParser, arguments: list[str] | None, kind: type[Run]
) -> tuple[Run, argparse.Namespace]:
    """The run that the arguments ask for, and all options; ends the process where they make no sense."""
    options = parser.parse_args(arguments)
    if (options.minutes is None) == (options.gigapixels is None):
        parser.error("give --minutes or --gigapixels")
    if options.crop % 64 or options.crop <= 0:
        parser.error("--crop must be a multiple of 64")
    if not 0 < options.decay <= 1:
        parser.error("--decay must be above 0 and at most 1")
    return kind(**{field.name: getattr(options, field.name) for field in fields(kind)}), options  # type: ignore[arg-type]


def train(options: argparse.Namespace, objective: Callable[[torch.device], Objective]) -> None:
    """Make the objective on its device and train it to the end of the budget.

    Started by torchrun, takes part in its group of processes. Ends the process with one line at an error of
    ours.
    """
    keep_freed_memory()
    # Sums of latents and rates need all of float32; shapes stay the same, so the fastest kernels can be tried
    # out.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    options.out.mkdir(parents=True, exist_ok=True)
    if "RANK" in os.environ:
        dist.init_process_group("nccl" if options.device.startswith("cuda") else "gloo")
    try:
        budget = Budget(options.minutes, options.gigapixels, options.decay)
        loop = Loop(objective(torch.device(options.device)), options.out, budget)
        if options.resume:
            loop.resume()
        loop.train(options.checkpoint_minutes)
    except RdpError as error:
        sys.exit(f"error: {error}")
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
