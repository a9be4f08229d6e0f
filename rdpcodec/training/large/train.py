"""Training `large` in parts (`parts.py`), each on whatever machine there is.

Part N leaves its run in `part-N/`, and what the next part needs in `part-N/pieces/` (`pieces.py`). The last
part adds a realism synthesis to weights that were exported in between.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import torch

from rdpcodec.errors import UsageError
from rdpcodec.training.checkpoints.checkpoint import averaged_model, load_checkpoint
from rdpcodec.training.checkpoints.pieces import joined, split
from rdpcodec.training.checkpoints.start import load_start
from rdpcodec.training.images.validation import load_training_and_validation
from rdpcodec.training.large.judging import WANTED, Verdict, curve, verdict
from rdpcodec.training.large.parts import PARTS
from rdpcodec.training.launch import train, training_device
from rdpcodec.training.loop import CHECKPOINT, Objective
from rdpcodec.training.objectives.fidelity import Fidelity
from rdpcodec.training.objectives.realism import Realism
from rdpcodec.training.settings import FidelitySettings, Launch, RealismSettings

WEIGHTS = "weights"


def train_part(
    number: int,
    settings: FidelitySettings | RealismSettings,
    data: Path,
    launch: Launch,
    *,
    against: Path | None,
    lpips: Path | None = None,
    compiled: str | None = None,
) -> list[Path]:
    """Train part `number` on the images below `data`, and return the pieces that it leaves.

    settings: those of the part, with a budget. launch: in the folder of all parts. against: the weights that
    the part is judged by, if it is judged. For the others see `Fidelity`. Raises `UsageError` when the folder
    lacks what the previous part left, and `NotWorthIt` when a judged part falls short; its pieces are written
    all the same.
    """
    folder, init = launch.out / f"part-{number}", _init(number, launch.out)

    def objective(device: torch.device) -> Objective:
        if isinstance(settings, RealismSettings):
            assert init is not None
            return Realism(settings, data, device, init=init, lpips=lpips)
        fidelity = Fidelity(settings, data, device, init=init, lpips=lpips, compiled=compiled)
        if PARTS[number].goes_on and init is not None:
            fidelity.take_over(joined(init))
        return fidelity

    train(objective, replace(launch, out=folder))
    if os.environ.get("RANK", "0") != "0":
        return []
    pieces = split(load_checkpoint(folder / CHECKPOINT, torch.device("cpu")), folder / "pieces")
    if against is not None:
        judge(folder / "pieces", against, data, launch.device).check(WANTED)
    return pieces


def judge(weights: Path, against: Path, data: Path, device: str | None = None) -> Verdict:
    """Judge a run's averaged weights, from a checkpoint or pieces, by other weights on held-out crops."""
    where = training_device(device)
    _, crops = load_training_and_validation(data, 0, where)
    models = averaged_model(load_checkpoint(weights, torch.device("cpu"))), load_start(against).model
    return verdict(*(curve(model.to(where).eval(), crops) for model in models))


def _init(number: int, out: Path) -> Path | None:
    """What a part starts from. Raises `UsageError` when it is missing."""
    if number == 1:
        return None
    if isinstance(PARTS[number].settings, RealismSettings):
        init = out / WEIGHTS / "large.safetensors"
        missing, remedy = not init.is_file(), f"export part {number - 1} to {init.parent} first"
    else:
        init = out / f"part-{number - 1}" / "pieces"
        missing, remedy = not init.is_dir(), f"bring the pieces that part {number - 1} left"
    if missing:
        raise UsageError(f"{init}: part {number} starts from this: {remedy}")
    return init
