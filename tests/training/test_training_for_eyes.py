from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from small_model import SMALL

from rdpcodec.metrics.eyes import in_place_of
from rdpcodec.model.rdp_model import RdpModel
from rdpcodec.training.loop import Loop
from rdpcodec.training.objectives.fidelity import Fidelity
from rdpcodec.training.objectives.losses import fidelity_distortion, rate_distortion_loss
from rdpcodec.training.settings import FidelitySettings

STEPS, BATCH, CROP = 4, 2, 64


def loop_of(data: Path, out: Path, start: Path, eyes: float) -> Loop:
    gigapixels = STEPS * BATCH * CROP**2 / 1e9
    run = FidelitySettings(gigapixels=gigapixels, batch=BATCH, crop=CROP, eyes=eyes, graphics=0)
    return Loop(Fidelity(run, data, torch.device("cpu"), init=start), out)


def test_one_per_cent_of_the_distortion_is_worth_one_per_cent_of_squared_error() -> None:
    mse = torch.tensor([1e-3, 4e-2], requires_grad=True)
    distortion = torch.tensor([7.0, 0.2], requires_grad=True)
    loss = in_place_of(mse, distortion)
    loss.sum().backward()
    assert torch.allclose(loss, mse)
    assert mse.grad is None
    assert distortion.grad is not None
    assert torch.allclose(distortion.grad * distortion, mse)


def test_eyes_change_what_is_learnt_and_not_what_the_loss_amounts_to() -> None:
    torch.manual_seed(1)
    model, x, quality = RdpModel(SMALL), torch.rand(2, 3, 64, 64), torch.tensor([20.0, 70.0])
    gradients, totals = [], []
    for share in (0.0, 0.5):
        output = model(x, quality, by_rate=True)
        distortion = fidelity_distortion(FidelitySettings(eyes=share, coarse=0), output.reconstruction, x)
        loss = rate_distortion_loss(output, x, quality, distortion)
        totals.append(float(loss.total.detach()))
        gradients.append(torch.autograd.grad(loss.total, output.reconstruction)[0].flatten())
    assert totals[0] == pytest.approx(totals[1], rel=1e-5)
    assert torch.cosine_similarity(gradients[0], gradients[1], dim=0) < 0.99


def test_a_run_for_eyes_goes_on_exactly_and_logs_ssimulacra2(
    image_folder: Path, tmp_path: Path, small_model: Path
) -> None:
    loop = loop_of(image_folder, tmp_path, small_model, eyes=0.5)
    loop.train(checkpoint_minutes=60)
    last = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert len(last["validation_ssimulacra2"]) == len(last["validation_rd"])
    assert last["validation_ssimulacra2"] == sorted(last["validation_ssimulacra2"])
    resumed = loop_of(image_folder, tmp_path, small_model, eyes=0.5)
    resumed.resume()
    assert resumed.step == STEPS
