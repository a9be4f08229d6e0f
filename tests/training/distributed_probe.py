"""Three steps on given crops; where there are two processes, each takes a part of every batch.

`distributed_probe.py IMAGES START OUT` leaves a checkpoint, each process's mean loss, `loss-RANK`, and the
mean of 1 + RANK over processes as each knows it, `mean-RANK`, under `OUT/one` or `OUT/two`.
"""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from small_model import smaller_constants
from torch import Tensor

from rdpcodec.training.launch import leave_process_group
from rdpcodec.training.loop import Loop, mean_over_processes, process_count, process_rank
from rdpcodec.training.objectives.fidelity import Fidelity
from rdpcodec.training.settings import FidelitySettings

BATCH, SIDE, STEPS = 4, 64, 3


def main(data: Path, start: Path, out: Path) -> None:
    if "RANK" in os.environ:
        dist.init_process_group("gloo", timeout=timedelta(minutes=4))  # in case the other dies
    torch.rand_like = lambda x: torch.full_like(x, 0.25)  # type: ignore[assignment]
    share = BATCH // process_count()
    run = FidelitySettings(gigapixels=STEPS * BATCH * SIDE**2 / 1e9, batch=share, crop=SIDE, graphics=0)
    objective = Fidelity(run, data, torch.device("cpu"), init=start)
    # SGD's steps are the gradients; SOAP and Adam amplify differences in the last bit.
    objective.optimizers = [torch.optim.SGD(objective.model.parameters(), lr=20.0)]
    common = torch.Generator().manual_seed(7)

    def batch() -> tuple[Tensor, Tensor, Tensor]:
        x = objective.training.crops(BATCH, SIDE, common)
        quality = torch.rand(BATCH, generator=common) * 100
        part = slice(process_rank() * share, (process_rank() + 1) * share)
        return x[part], quality[part], torch.zeros(2)

    losses: list[float] = []
    step = objective.train_step

    def recorded(factor: float, progress: float) -> dict[str, float]:
        figures = step(factor, progress)
        losses.append(figures["loss"])
        return figures

    objective.batch = batch  # type: ignore[method-assign]
    objective.train_step = recorded  # type: ignore[method-assign]
    folder = out / ("one" if process_count() == 1 else "two")
    Loop(objective, folder).train(checkpoint_minutes=60)
    (folder / f"loss-{process_rank()}").write_text(str(sum(losses) / STEPS))
    mean = mean_over_processes(torch.tensor(1.0 + process_rank()))
    (folder / f"mean-{process_rank()}").write_text(str(float(mean)))


if __name__ == "__main__":
    with smaller_constants():
        main(*map(Path, sys.argv[1:]))
    leave_process_group()
