"""Fidelity runs that give a share of the crops to the realism synthesis."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from rdpcodec import Codec
from rdpcodec.errors import UsageError
from rdpcodec.metrics.eyes import ForEyes
from rdpcodec.metrics.lpips import load_lpips
from rdpcodec.metrics.weave import weave_distortion
from rdpcodec.model.rdp_model import RdpModel, TrainingOutput
from rdpcodec.model.released import arrays
from rdpcodec.training.checkpoints.checkpoint import load_checkpoint
from rdpcodec.training.checkpoints.start import load_start
from rdpcodec.training.descent.schedule import rate_factor
from rdpcodec.training.export.export import export
from rdpcodec.training.images.validation import QUALITIES
from rdpcodec.training.loop import Loop
from rdpcodec.training.objectives import losses
from rdpcodec.training.objectives.fidelity import Decoded, Fidelity
from rdpcodec.training.objectives.losses import (
    LPIPS_UNIT,
    MSE_WEIGHT,
    PHASES,
    WEAVE_WEIGHT,
    perceptual_distortion,
    random_phase,
    rate_distortion_loss,
    shifted_crop,
)
from rdpcodec.training.objectives.realism import Realism
from rdpcodec.training.settings import FidelitySettings, RealismSettings
from rdpcodec.weights.architecture import architecture_from
from rdpcodec.weights.release import ReleasedModel

CPU = torch.device("cpu")
# Judges by squared error, LPIPS and weaves alone.
PLAIN = FidelitySettings(texture=0)


def loop_of(steps: int, data: Path, out: Path, lpips: Path, init: Path, **changes: Any) -> Loop:
    run = FidelitySettings(
        gigapixels=steps * 2 * 64**2 / 1e9,
        batch=2,
        crop=64,
        learning_rate=5e-3,
        **{"perception": 0.5, "eyes": 0.0, "coarse": 0.0, "graphics": 0.0, **changes},
    )
    return Loop(Fidelity(run, data, CPU, init=init, lpips=lpips), out)


def weights_of(loop: Loop) -> dict[str, Tensor]:
    objective = loop.objective
    assert isinstance(objective, Fidelity)
    assert objective.realism is not None
    realistic = {f"realism.{name}": t for name, t in objective.realism.synthesis.state_dict().items()}
    averages = {f"average {name}": t for name, t in objective.realism.average.values.items()}
    return {**objective.model.state_dict(), **realistic, **averages}


def test_squared_error_lpips_and_the_weave_have_their_weights(lpips: Path) -> None:
    torch.manual_seed(0)
    network, phase = load_lpips("squeeze", lpips), torch.tensor([3, 1])
    x, decoded = torch.rand(2, 2, 3, 64, 64)
    with torch.no_grad():
        realistic = perceptual_distortion(network, PLAIN, decoded, x, phase)
    squared = realistic.mse + WEAVE_WEIGHT * weave_distortion(x, decoded)
    torch.testing.assert_close(realistic.total, MSE_WEIGHT * squared + realistic.lpips)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_first_crops_are_judged_by_the_realism_synthesis_the_others_by_squared_error(
    image_folder: Path, tmp_path: Path, lpips: Path, small_model: Path, share: float
) -> None:
    objective = loop_of(1, image_folder, tmp_path, lpips, small_model, perception=share).objective
    assert isinstance(objective, Fidelity)
    torch.manual_seed(0)
    x, faithful, realistic = torch.rand(3, 2, 3, 64, 64)
    quality, phase = torch.full((2,), 50.0), torch.zeros(2, dtype=torch.int64)
    count = objective.settings.perceived
    output = objective.model(x, quality)._replace(reconstruction=faithful)
    decoded = Decoded(output, realistic[:count] if count else None)
    objective.forward = lambda *_, **__: decoded
    expected = (faithful - x).square().mean((1, 2, 3))
    if objective.realism is not None:
        judged = objective.realism.distortion(realistic[:count], x[:count], phase)
        expected = torch.cat([judged.total / LPIPS_UNIT, expected[count:]])
    found = objective.loss(x, quality, phase)[0]
    torch.testing.assert_close(found, rate_distortion_loss(output, x, quality, expected).total)


@pytest.mark.parametrize(("share", "crops"), [(0.0, 0), (0.125, 1), (0.25, 2), (0.5, 4), (1.0, 8)])
def test_a_share_of_the_crops_is_judged_by_the_realism_synthesis(share: float, crops: int) -> None:
    assert FidelitySettings(batch=8, perception=share).perceived == crops


@pytest.mark.parametrize(("batch", "share"), [(1, 0.25), (10, 0.25), (16, 0.03), (8, 0.01)])
def test_a_share_that_is_no_whole_number_of_crops_is_refused(batch: int, share: float) -> None:
    with pytest.raises(UsageError, match="it must be a whole number"):
        FidelitySettings(batch=batch, perception=share)


def test_lpips_sees_images_at_every_phase(lpips: Path) -> None:
    network, generator = load_lpips("squeeze", lpips), torch.Generator().manual_seed(0)
    x, decoded = torch.rand(2, 1, 3, 48, 64, generator=generator)
    phases = [random_phase(generator, x.device) for _ in range(600)]
    assert {tuple(phase.tolist()) for phase in phases} == {
        (top, left) for top in range(PHASES) for left in range(PHASES)
    }
    with torch.no_grad():
        for phase in phases[:3]:
            top, left = phase.tolist()
            window = (..., slice(top, top + 49 - PHASES), slice(left, left + 65 - PHASES))
            assert torch.equal(shifted_crop(x, phase), x[window])
            found = perceptual_distortion(network, PLAIN, decoded, x, phase)
            torch.testing.assert_close(found.lpips, network(decoded[window], x[window]))
            torch.testing.assert_close(found.mse, (decoded - x).square().mean((1, 2, 3)))


def test_texture_takes_its_share_of_what_is_learnt(lpips: Path) -> None:
    network, generator = load_lpips("squeeze", lpips), torch.Generator().manual_seed(0)
    x, decoded = torch.rand(2, 1, 3, 64, 64, generator=generator)
    decoded.requires_grad_()
    phase, found = random_phase(generator, x.device), {}
    for share in (0.0, 0.25, 1.0):
        distortion = perceptual_distortion(network, FidelitySettings(texture=share), decoded, x, phase)
        found[share] = torch.autograd.grad(distortion.total.sum(), decoded)[0]
    assert torch.cosine_similarity(found[0.0].flatten(), found[1.0].flatten(), dim=0) < 0.99
    torch.testing.assert_close(found[0.25], 0.75 * found[0.0] + 0.25 * found[1.0])


def test_averaged_weights_are_validated_as_the_encoder_rounds(
    image_folder: Path, tmp_path: Path, lpips: Path, small_model: Path
) -> None:
    objective = loop_of(1, image_folder, tmp_path, lpips, small_model).objective
    assert isinstance(objective, Fidelity)
    objective.validation_crops[0] = 0.5  # one that costs much less than the others
    before = objective.validate()
    with torch.no_grad():
        for parameter in objective.parameters():
            parameter.mul_(1.5)
    assert objective.validate() == before
    x, quality = objective.validation_crops, torch.full((3,), QUALITIES[-1])
    with torch.no_grad():
        output = objective.average.module(x, quality, by_rate=True)
    bpp = ((output.latent_bits + output.hyper_bits) / (64 * 64)).numpy()
    squared = (output.reconstruction - x).square().mean((1, 2, 3)).numpy()
    expected = [bpp.mean(), (-10 * np.log10(squared)).mean(), np.exp(np.log(bpp).mean())]
    assert before["validation_rd"][-1] == pytest.approx(expected, abs=1e-3)
    assert expected[0] > expected[2] + 0.01  # otherwise the two means would agree
    with torch.no_grad():
        objective.average.module.synthesis.bypass.bias.add_(1)
        objective.realism.average.module.bypass.bias.add_(1)
    after = objective.validate()
    assert after["validation_rd"] != before["validation_rd"]
    assert after["validation_lpips"] != before["validation_lpips"]


def test_eyes_judge_each_of_the_other_crops_beside_its_own_reconstruction(
    image_folder: Path, tmp_path: Path, lpips: Path, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[tuple[Tensor, Tensor]] = []

    class Noted(ForEyes):
        def __init__(self, reference: Tensor) -> None:
            super().__init__(reference)
            self.reference = reference

        def distortions(self, decoded: Tensor) -> tuple[Tensor, Tensor]:
            judged.append((self.reference, decoded))
            return super().distortions(decoded)

    def exact(_: RdpModel, args: tuple[Tensor, Tensor], output: TrainingOutput) -> TrainingOutput:
        return output._replace(reconstruction=args[0])

    monkeypatch.setattr(losses, "ForEyes", Noted)
    objective = loop_of(1, image_folder, tmp_path, lpips, small_model, eyes=0.5).objective
    assert isinstance(objective, Fidelity)
    objective.model.register_forward_hook(exact)
    x, quality, phase = objective.batch()
    objective.loss(x, quality, phase)
    ((reference, decoded),) = judged
    assert torch.equal(reference, x[1:])  # the first is judged by the realism synthesis
    assert torch.equal(decoded, reference)


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_the_encoder_learns_for_both_syntheses(
    share: float, image_folder: Path, tmp_path: Path, lpips: Path, small_model: Path
) -> None:
    loop = loop_of(4, image_folder, tmp_path, lpips, small_model, perception=share)
    before = {name: t.clone() for name, t in weights_of(loop).items()}
    loop.train(checkpoint_minutes=60)
    moved = {name.split(".")[0] for name, t in weights_of(loop).items() if not torch.equal(before[name], t)}
    assert {"analysis", "realism"} <= moved
    # Where no squared error is left in the loss, the fidelity synthesis has nothing to learn from.
    assert ("synthesis" in moved) == (share < 1)
    averages = [name for name in before if name.startswith("average ")]
    assert all(not torch.equal(before[name], weights_of(loop)[name]) for name in averages)


def test_a_run_that_died_goes_on_exactly(
    image_folder: Path, tmp_path: Path, lpips: Path, small_model: Path
) -> None:
    whole = loop_of(8, image_folder, tmp_path / "whole", lpips, small_model)
    whole.train(checkpoint_minutes=60)
    dying = loop_of(8, image_folder, tmp_path / "resumed", lpips, small_model)
    dying.out.mkdir()
    for step in range(5):
        dying.objective.train_step(rate_factor(step, step / 8, dying.objective.settings.decay), step / 8)
        dying.step += 1
        dying.budget.spent_pixels += dying.pixels_a_step
    dying.save()
    resumed = loop_of(8, image_folder, tmp_path / "resumed", lpips, small_model)
    resumed.resume()
    resumed.train(checkpoint_minutes=60)
    assert whole.step == resumed.step == 8
    expected, found = weights_of(whole), weights_of(resumed)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_both_syntheses_are_released_and_trained_further(
    image_folder: Path, tmp_path: Path, lpips: Path, small_model: Path, photograph: Image.Image
) -> None:
    loop_of(4, image_folder, tmp_path / "run", lpips, small_model).train(checkpoint_minutes=60)
    checkpoint = tmp_path / "run" / "checkpoint.pt"
    record = export(checkpoint, image_folder, "fast", tmp_path / "weights")
    assert record["dials"] == ["quality", "realism"]
    assert record["training"]["runs"] == record["realism"]["training"]["runs"] == 1
    path = tmp_path / "weights" / "fast.safetensors"
    tensors = load_file(path)
    codec = Codec(
        ReleasedModel.from_tensors("fast", architecture_from(record["architecture"]), arrays(tensors))
    )
    file = codec.compress(photograph.crop((100, 100, 200, 180)), 60)
    exact, realistic = (np.asarray(codec.decompress(file, realism=beta)) for beta in (0, 1))
    assert (exact != realistic).any()

    learnt = load_checkpoint(checkpoint, CPU)
    started = load_start(checkpoint).realism_synthesis().state_dict()
    assert all(torch.equal(started[name], tensor) for name, tensor in learnt["realism_average"].items())
    assert not all(torch.equal(started[name], tensor) for name, tensor in learnt["realism_synthesis"].items())
    # From the checkpoint or the release, the next run begins with the same realism synthesis.
    for init in (checkpoint, path):
        start = weights_of(loop_of(1, image_folder, tmp_path / "next", lpips, init))
        for name, tensor in tensors.items():
            if name.startswith("realism."):
                torch.testing.assert_close(start[name], tensor.float(), atol=1e-3, rtol=1e-3)
    objective = Realism(
        RealismSettings(gigapixels=1e-5, batch=1, crop=64),
        image_folder,
        CPU,
        init=path,
        lpips=lpips,
    )
    assert objective.totals.runs == 1
    for name, tensor in objective.synthesis.state_dict().items():
        assert torch.equal(tensor, tensors[f"realism.{name}"].float())


def test_runs_without_a_share_are_no_training_of_realism(
    image_folder: Path, tmp_path: Path, lpips: Path, small_model: Path
) -> None:
    init, shares = small_model, (0.0, 0.5, 0.5)
    for number, share in enumerate(shares):
        out = tmp_path / str(number)
        loop_of(1, image_folder, out, lpips, init, perception=share).train(checkpoint_minutes=60)
        init = out / "checkpoint.pt"
    record = export(init, image_folder, "fast", tmp_path / "weights")
    assert (record["training"]["runs"], record["realism"]["training"]["runs"]) == (3, 2)
    card = (tmp_path / "weights" / "MODEL_CARD.md").read_text("utf-8")
    assert re.search(r"\| fidelity \|.*\| 3 \|", card)
    assert re.search(r"\| realism \|.*\| 2 \|", card)


def test_a_share_needs_the_networks(image_folder: Path, tmp_path: Path, small_model: Path) -> None:
    loop_of(1, image_folder, tmp_path, tmp_path, small_model, perception=0.0)
    with pytest.raises(UsageError, match="LPIPS-squeeze"):
        loop_of(1, image_folder, tmp_path, tmp_path, small_model)
