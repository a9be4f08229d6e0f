"""Train the released weights for a part of the qualities, for longer and with the options of the trainer.

python hour.py IMAGES OUT.json MINUTES LOW HIGH

Like `one_model.py`, but on crops of drawings too, and judged at fifteen qualities. MINUTES: of processor time of one thread.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rdpcodec.metrics.eyes import ssimulacra2_distortion
from rdpcodec.model.rdp_model import RdpModel
from rdpcodec.training.fidelity import Fidelity
from rdpcodec.training.losses import rate_distortion_loss
from rdpcodec.training.schedule import rate_factor
from rdpcodec.training.settings import FidelitySettings

QUALITIES = (2, 5, 10, 15, 20, 25, 30, 35, 40, 45, 55, 65, 75, 85, 95)


@torch.no_grad()
def judged(model: RdpModel, crops: Tensor) -> list[dict[str, Any]]:
    """Each crop at each quality, rounded as the encoder rounds: log bits per pixel, PSNR, SSIMULACRA2's distortion."""
    rows = []
    for quality in QUALITIES:
        at = torch.full((len(crops),), float(quality))
        output = model(crops, at, by_rate=True)
        decoded = output.reconstruction.clamp(0, 1)
        mse = (decoded - crops).square().mean((1, 2, 3))
        found = {
            "log_bpp": rate_distortion_loss(output, crops, at).bpp.log(),
            "psnr": -10 * mse.log10(),
            "ssimulacra2_distortion": ssimulacra2_distortion(crops, decoded),
        }
        rounded = {name: [round(float(v), 4) for v in values] for name, values in found.items()}
        rows.append({"quality": quality, **rounded})
    return rows


def main(images: str, out: str, minutes: str, low: str, high: str) -> None:
    torch.set_num_threads(1)
    recipe = {"crop": 192, "batch": 8, "decay": 1.0, "bfloat16": True, "learning_rate": 6e-4, "seed": 5}
    settings = FidelitySettings(minutes=float(minutes), qualities=(float(low), float(high)), **recipe)
    objective = Fidelity(settings, Path(images), torch.device("cpu"), init=Path("weights/fast.safetensors"))
    crops = objective.validation_crops
    record: dict[str, Any] = {"before": judged(objective.average.module, crops)}
    began, step = time.process_time(), 0
    while (progress := (time.process_time() - began) / 60 / float(minutes)) < 1:
        objective.train_step(rate_factor(step, progress, settings.decay))
        step += 1
    record |= {"steps": step, "after": judged(objective.average.module, crops)}
    Path(out).write_text(json.dumps(record) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
