"""Three steps on given crops; the processes of torchrun each take a part of every batch.

`distributed_probe.py PICTURES OUT` leaves a checkpoint and each process's mean loss, `loss-RANK`, under
`OUT/one` or `OUT/two`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from small_model import CONSTANTS, SMALL
from torch import Tensor

from rdpcodec.training import fidelity
from rdpcodec.training.loop import Loop, process_count, process_rank
from rdpcodec.training.schedule import Budget

BATCH, SIDE, STEPS = 4, 64, 3


def main(data: Path, out: Path) -> None:
    if "RANK" in os.environ:
        dist.init_process_group("gloo")
    for name, value in CONSTANTS.items():
        setattr(fidelity, name, value)
    torch.rand_like = lambda x: torch.full_like(x, 0.25)  # type: ignore[assignment]
    share = BATCH // process_count()
    gigapixels = STEPS * BATCH * SIDE**2 / 1e9
    # Not SOAP: its eigenvectors make much of differences in the last bit.
    fidelity.make_optimizers = lambda model, run: [torch.optim.AdamW(model.parameters(), run.learning_rate)]
    run = fidelity.FidelityRun(gigapixels=gigapixels, batch=share, crop=SIDE)
    objective = fidelity.Fidelity(run, data, torch.device("cpu"), architecture=SMALL)
    common = torch.Generator().manual_seed(7)

    def batch() -> tuple[Tensor, Tensor]:
        x = objective.training.crops(BATCH, SIDE, common)
        quality = torch.rand(BATCH, generator=common) * 100
        part = slice(process_rank() * share, (process_rank() + 1) * share)
        return x[part], quality[part]

    losses: list[float] = []
    step = objective.train_step

    def recorded(factor: float, progress: float) -> dict[str, float]:
        figures = step(factor, progress)
        losses.append(figures["loss"])
        return figures

    objective.batch = batch  # type: ignore[method-assign]
    objective.train_step = recorded  # type: ignore[method-assign]
    folder = out / ("one" if process_count() == 1 else "two")
    Loop(objective, folder, Budget(None, run.gigapixels)).train(checkpoint_minutes=60)
    (folder / f"loss-{process_rank()}").write_text(str(sum(losses) / STEPS))
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
