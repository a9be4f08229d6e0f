from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from small_model import SMALL
from torch import Tensor

from rdpcodec import Codec
from rdpcodec.errors import UsageError
from rdpcodec.model.rdp_model import RdpModel
from rdpcodec.model.released import arrays
from rdpcodec.quality import lambda_at
from rdpcodec.training.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from rdpcodec.training.checkpoints.start import load_start
from rdpcodec.training.export.export import export
from rdpcodec.training.loop import Loop
from rdpcodec.training.objectives import realism
from rdpcodec.training.objectives.discriminator import ProjectedDiscriminator, feature_distortion
from rdpcodec.training.objectives.fidelity import Fidelity
from rdpcodec.training.objectives.losses import PHASES
from rdpcodec.training.objectives.realism import Realism
from rdpcodec.training.settings import FidelitySettings, RealismSettings
from rdpcodec.weights.architecture import architecture_from
from rdpcodec.weights.release import ReleasedModel

CPU = torch.device("cpu")


def run_of(steps: int, **changes: Any) -> RealismSettings:
    return RealismSettings(gigapixels=steps * 2 * 64**2 / 1e9, batch=2, crop=64, **changes)


@pytest.fixture(scope="module")
def released(image_folder: Path, small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of released weights, trained for two steps."""
    folder = tmp_path_factory.mktemp("released")
    run = FidelitySettings(gigapixels=2 * 64**2 / 1e9, batch=1, crop=64, graphics=0)
    objective = Fidelity(run, image_folder, CPU, init=small_model)
    Loop(objective, folder / "run").train(checkpoint_minutes=60)
    export(folder / "run" / "checkpoint.pt", image_folder, "fast", folder / "weights")
    return folder / "weights"


@pytest.fixture
def weights(released: Path, tmp_path: Path) -> Path:
    """The same in a folder that a test may export to."""
    return shutil.copytree(released, tmp_path / "weights") / "fast.safetensors"


def loop_of(run: RealismSettings, data: Path, out: Path, weights: Path, lpips: Path) -> Loop:
    return Loop(Realism(run, data, CPU, init=weights, lpips=lpips), out)


def exported(data: Path, run: Path, weights: Path) -> dict[str, Any]:
    return export(run / "checkpoint.pt", data, "fast", weights.parent)


@pytest.fixture(scope="module")
def first_run(
    image_folder: Path, released: Path, lpips: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with a realism run, and the released weights with the realism synthesis that it trained."""
    folder = tmp_path_factory.mktemp("first-run")
    weights = shutil.copytree(released, folder / "weights") / "fast.safetensors"
    loop_of(run_of(4, learning_rate=5e-3), image_folder, folder, weights, lpips).train(60)
    exported(image_folder, folder, weights)
    return folder


@pytest.fixture
def dialled(first_run: Path, tmp_path: Path) -> Path:
    """Weights with a realism setting, in a folder that a test may export to."""
    return shutil.copytree(first_run / "weights", tmp_path / "dialled") / "fast.safetensors"


def weights_of(loop: Loop) -> dict[str, Tensor]:
    objective = loop.objective
    assert isinstance(objective, Realism)
    trained = {**objective.synthesis.state_dict(), **objective.discriminator.state_dict()}
    return {**trained, **{f"average {name}": t for name, t in objective.average.values.items()}}


def test_the_discriminator_judges_places_latents_and_quality() -> None:
    torch.manual_seed(0)
    judge = ProjectedDiscriminator(8).eval()
    x, latents = torch.rand(2, 3, 96, 64), 30 * torch.randn(2, 8, 6, 4)
    quality = torch.tensor([10.0, 90.0])
    logits = judge(judge.stages(x), latents, quality)
    assert logits.shape[0] == 2
    assert logits.numel() > 2 * 4
    for image, z, q in ((1 - x, latents, quality), (x, -latents, quality), (x, latents, quality.flip(0))):
        assert not torch.allclose(logits, judge(judge.stages(image), z, q), atol=1e-6)


def test_features_of_an_image_are_nearer_to_it_than_those_of_a_blurred_or_another_one(
    photograph: Image.Image,
) -> None:
    judge = ProjectedDiscriminator(8).eval()
    x, other = (
        torch.from_numpy(np.array(photograph.crop((left, 40, left + 128, 168)))).permute(2, 0, 1)[None] / 255
        for left in (0, 160)
    )
    blurred = torch.nn.functional.avg_pool2d(x, 5, 1, 2, count_include_pad=False)
    same, near, far = (
        float(feature_distortion(judge.stages(x), judge.stages(y))) for y in (x, blurred, other)
    )
    assert same == pytest.approx(0, abs=1e-6)
    assert 0.01 < near < far < 16


def test_the_frozen_half_of_a_projected_discriminator_is_never_trained() -> None:
    judge = ProjectedDiscriminator(8).train()
    assert not judge.features.network.training
    before = {name: t.clone() for name, t in judge.features.state_dict().items()}
    stages = judge.stages(torch.rand(1, 3, 64, 64))
    judge(stages, torch.rand(1, 8, 4, 4), torch.tensor([50.0])).sum().backward()
    assert all(p.grad is None for p in judge.features.parameters())
    assert all(torch.equal(before[name], t) for name, t in judge.features.state_dict().items())


def test_a_realism_run_that_died_goes_on_exactly(
    image_folder: Path, tmp_path: Path, weights: Path, lpips: Path
) -> None:
    run = run_of(8)
    whole = loop_of(run, image_folder, tmp_path / "whole", weights, lpips)
    whole.train(checkpoint_minutes=60)

    class Killed(Exception):
        """Stands for the process's end."""

    dying = loop_of(run, image_folder, tmp_path / "resumed", weights, lpips)
    step = dying.objective.train_step

    def step_or_die(factor: float, progress: float) -> dict[str, float]:
        if dying.step == 5:
            dying.out.mkdir(exist_ok=True)
            dying.save()
            raise Killed
        return step(factor, progress)

    dying.objective.train_step = step_or_die  # type: ignore[method-assign]
    with pytest.raises(Killed):
        dying.train(checkpoint_minutes=60)
    resumed = loop_of(run, image_folder, tmp_path / "resumed", weights, lpips)
    resumed.resume()
    resumed.train(checkpoint_minutes=60)
    assert whole.step == resumed.step == 8
    expected, found = weights_of(whole), weights_of(resumed)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_the_adversary_joins_after_the_warm_up(
    image_folder: Path, tmp_path: Path, weights: Path, lpips: Path
) -> None:
    objective = loop_of(run_of(8), image_folder, tmp_path / "run", weights, lpips).objective
    assert isinstance(objective, Realism)
    before = {name: t.clone() for name, t in objective.discriminator.state_dict().items()}
    assert "adversary_weight" not in objective.train_step(1.0, objective.settings.warmup / 2)
    assert all(torch.equal(before[name], t) for name, t in objective.discriminator.state_dict().items())
    figures = objective.train_step(1.0, objective.settings.warmup)
    low, high = realism.ADVERSARY_WEIGHTS
    assert low <= figures["adversary_weight"] <= high * (1 + 1e-6)
    assert not all(torch.equal(before[name], t) for name, t in objective.discriminator.state_dict().items())


def test_images_of_all_rates_count_alike(
    image_folder: Path, weights: Path, lpips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RealismSettings(minutes=1, batch=1, crop=64, adversary=0.0)
    objective, losses = Realism(run, image_folder, CPU, init=weights, lpips=lpips), []
    crop = objective.training.crops(1, 64, torch.Generator().manual_seed(0))
    monkeypatch.setattr(objective.training, "crops", lambda *_: crop)
    for share in (0.05, 0.95):
        monkeypatch.setattr(torch, "rand", lambda *_, share=share, **__: torch.tensor([share]))
        losses.append(objective.train_step(0.0, 0.0)["loss"])
    assert 1 / 6 < losses[0] / losses[1] < 6


def test_an_images_gradient_is_weighted_by_its_rate(
    image_folder: Path, weights: Path, lpips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RealismSettings(minutes=1, batch=1, crop=64, adversary=0.0, texture=0.0)
    objective, gradients = Realism(run, image_folder, CPU, init=weights, lpips=lpips), []
    crop = objective.training.crops(1, 64, torch.Generator().manual_seed(0))
    decoded = (0.9 * crop).requires_grad_()
    monkeypatch.setattr(objective.training, "crops", lambda *_: crop)
    objective.synthesis.register_forward_hook(lambda *_: decoded)  # the same image at every rate
    for share in (0.05, 0.95):
        monkeypatch.setattr(torch, "rand", lambda *_, share=share, **__: torch.tensor([share]))
        objective.randomness.generator.manual_seed(0)
        objective.train_step(0.0, 0.0)
        assert decoded.grad is not None
        gradients.append(float(decoded.grad.norm()))
        decoded.grad = None
    expected = (lambda_at(95.0) / lambda_at(5.0)) ** realism.RATE_EXPONENT
    assert gradients[1] / gradients[0] == pytest.approx(expected, rel=1e-3)


def test_the_frozen_network_sees_shifted_crops_once(
    image_folder: Path, weights: Path, lpips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RealismSettings(minutes=1, batch=2, crop=64, warmup=0.0)
    objective, seen, judged = Realism(run, image_folder, CPU, init=weights, lpips=lpips), [], []
    stages = objective.discriminator.stages

    def recorded(x: Tensor) -> list[Tensor]:
        seen.append(tuple(x.shape))
        return stages(x)

    monkeypatch.setattr(objective.discriminator, "stages", recorded)
    objective.discriminator.register_forward_pre_hook(lambda _, args: judged.append(len(args[0][0])))
    objective.train_step(0.0, 1.0)
    side = 65 - PHASES
    assert seen == [(2, 3, side, side)] * 2  # originals and decoded images
    assert judged == [2, 4]  # the decoded images; then both kinds


def test_a_share_of_the_distortion_is_that_of_features(
    image_folder: Path, weights: Path, lpips: Path
) -> None:
    """The loss keeps its value; its gradient turns."""
    run = RealismSettings(minutes=1, batch=1, crop=64, adversary=0.0)
    objective = Realism(run, image_folder, CPU, init=weights, lpips=lpips)
    gradients: list[Tensor] = []
    objective.synthesis.register_forward_hook(lambda *got: got[-1].register_hook(gradients.append) and None)
    losses = []
    for share in (0.0, 0.5, 1.0):
        objective.settings = replace(run, features=share)
        objective.randomness.generator.manual_seed(0)
        losses.append(objective.train_step(0.0, 0.0)["loss"])
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-4)
    assert torch.allclose(gradients[1], (gradients[0] + gradients[2]) / 2, rtol=1e-3, atol=1e-7)
    cosine = torch.nn.functional.cosine_similarity(gradients[0].flatten(), gradients[2].flatten(), dim=0)
    assert float(cosine) < 0.9


def test_the_adversarys_weight_is_bounded_and_follows_a_slow_mean_of_its_gradient(
    image_folder: Path, weights: Path, lpips: Path
) -> None:
    run = RealismSettings(minutes=1, batch=1, crop=64, warmup=0.0, texture=0.0)
    objective = Realism(run, image_folder, CPU, init=weights, lpips=lpips)
    objective.adversary_norm = 1e6
    for steps, (strength, bound) in enumerate(((1e-9, 0.008), (1e12, 0.15)), 1):
        objective.settings = replace(run, adversary=strength)
        assert objective.train_step(0.0, 1.0)["adversary_weight"] == pytest.approx(bound)
        assert objective.adversary_norm == pytest.approx(0.99**steps * 1e6, rel=1e-4)


def test_the_adversary_pushes_as_strongly_as_it_is_told_and_towards_what_looks_real(
    image_folder: Path, weights: Path, lpips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RealismSettings(minutes=1, batch=1, crop=64, warmup=0.0, texture=0.0)
    objective = Realism(run, image_folder, CPU, init=weights, lpips=lpips)
    objective.discriminator.eval()
    objective.discriminator_optimizer = torch.optim.SGD(objective.discriminator.parameters(), lr=0.0)
    monkeypatch.setattr(realism, "ADVERSARY_WEIGHTS", (0.0, 1e9))
    gradients: list[Tensor] = []
    objective.synthesis.register_forward_hook(lambda *got: got[-1].register_hook(gradients.append) and None)

    def step(adversary: float, factor: float) -> dict[str, float]:
        objective.settings, objective.adversary_norm = replace(run, adversary=adversary), 0.0
        objective.randomness.generator.manual_seed(0)
        return objective.train_step(factor, 1.0)

    for strength in (0.0, 1.0, 2.0):
        step(strength, 0.0)
    alone, *pushed = gradients
    for strength, gradient in zip((1.0, 2.0), pushed, strict=True):
        assert float((gradient - alone).norm()) == pytest.approx(strength * float(alone.norm()), rel=1e-3)
    # With almost nothing but the adversary in the loss, the discriminator is deceived more and more.
    objective.synthesis_optimizers = [torch.optim.SGD(objective.synthesis.parameters(), lr=0.005)]
    losses = [step(1e3, 1.0)["adversary_loss"] for _ in range(5)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]


def test_the_discriminator_learns_to_tell_photographs_from_decoded_images(
    image_folder: Path, weights: Path, lpips: Path
) -> None:
    run = RealismSettings(minutes=1, batch=4, crop=64, warmup=0.0)
    objective = Realism(run, image_folder, CPU, init=weights, lpips=lpips)
    objective.synthesis_optimizers = []
    figures = []
    for _ in range(8):
        objective.randomness.generator.manual_seed(0)
        figures.append(objective.train_step(2.0, 1.0))
    assert figures[-1]["discriminator_loss"] < figures[0]["discriminator_loss"]
    assert figures[-1]["discriminator_right"] > max(0.6, figures[0]["discriminator_right"])


def test_networks_survive_gradients_that_are_not_finite(
    image_folder: Path, weights: Path, lpips: Path
) -> None:
    run = RealismSettings(minutes=1, batch=1, crop=64, warmup=0.0)
    objective = Realism(run, image_folder, CPU, init=weights, lpips=lpips)
    networks = objective.synthesis, objective.discriminator.heads
    for network in networks:
        next(network.parameters()).register_hook(lambda gradient: gradient * float("inf"))
    before = [parameter.clone() for network in networks for parameter in network.parameters()]
    assert not np.isfinite(objective.train_step(1.0, 1.0)["gradient_norm"])
    after = [parameter for network in networks for parameter in network.parameters()]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_the_averaged_synthesis_is_validated(image_folder: Path, weights: Path, lpips: Path) -> None:
    objective = Realism(run_of(1), image_folder, CPU, init=weights, lpips=lpips)
    before = objective.validate()
    with torch.no_grad():
        for parameter in objective.parameters():
            parameter.mul_(1.5)
        assert objective.validate() == before
        objective.average.module.get_parameter("bypass.bias").add_(1)
    assert objective.validate() != before


def test_images_are_clipped_before_they_are_validated(image_folder: Path, weights: Path, lpips: Path) -> None:
    objective = Realism(run_of(1), image_folder, CPU, init=weights, lpips=lpips)
    with torch.no_grad():
        objective.average.module.get_parameter("bypass.bias").add_(1e4)  # far above white
    white = (1 - objective.validation_crops).square().mean((1, 2, 3))
    expected = float((-10 * white.log10()).mean())
    found = [psnr for psnr, _ in objective.validate()["validation_psnr_lpips"]]
    assert found == pytest.approx([expected] * len(found), abs=2e-3)


def test_only_the_realism_synthesis_moves(
    image_folder: Path, tmp_path: Path, weights: Path, lpips: Path
) -> None:
    loop = loop_of(run_of(4), image_folder, tmp_path / "run", weights, lpips)
    assert isinstance(loop.objective, Realism)
    model, synthesis = loop.objective.model, loop.objective.synthesis
    before = {name: t.clone() for name, t in model.state_dict().items()}
    loop.train(checkpoint_minutes=60)
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())
    after = {f"synthesis.{name}": t for name, t in synthesis.state_dict().items()}
    assert any(not torch.equal(before[name], t) for name, t in after.items())


def codec_of(weights: Path) -> Codec:
    record = json.loads(weights.with_name("manifest.json").read_text())["models"]["fast"]
    architecture = architecture_from(record["architecture"])
    return Codec(ReleasedModel.from_tensors("fast", architecture, arrays(load_file(weights))))


def test_an_exported_realism_synthesis_is_a_dial_of_the_same_files(
    released: Path, dialled: Path, photograph: Image.Image
) -> None:
    image = photograph.crop((100, 100, 200, 180))
    before = codec_of(released / "fast.safetensors")
    file = before.compress(image, 60)
    with pytest.raises(UsageError, match="no realism setting"):
        before.decompress(file, realism=1)

    record = json.loads(dialled.with_name("manifest.json").read_text())["models"]["fast"]
    assert record["dials"] == ["quality", "realism"]
    codec = codec_of(dialled)
    assert codec.compress(image, 60) == file
    fidelity_only, half, full = (
        np.asarray(codec.decompress(file, realism=beta)).astype(float) for beta in (0, 0.5, 1)
    )
    np.testing.assert_array_equal(fidelity_only, np.asarray(before.decompress(file)))
    assert np.abs(full - fidelity_only).max() > 2
    inside = (np.minimum(full, fidelity_only) > 0) & (np.maximum(full, fidelity_only) < 255)
    assert np.abs(half - (full + fidelity_only) / 2)[inside].max() <= 1

    # The file's own realism counts where none is given.
    own = codec.compress(image, 60, realism=1)
    np.testing.assert_array_equal(np.asarray(codec.decompress(own)), full)
    np.testing.assert_array_equal(np.asarray(codec.decompress(own, realism=0)), fidelity_only)
    batch = codec.decompress_batch([file, own, file])
    np.testing.assert_array_equal(np.asarray(batch[1]), full)
    np.testing.assert_array_equal(np.asarray(batch[2]), fidelity_only)


def test_a_second_realism_run_starts_from_the_first_and_both_are_recorded(
    image_folder: Path, tmp_path: Path, weights: Path, dialled: Path, lpips: Path
) -> None:
    first = loop_of(run_of(4), image_folder, tmp_path / "first", weights, lpips)
    second = loop_of(run_of(4), image_folder, tmp_path / "second", dialled, lpips)
    for loop, path, start in ((first, weights, "synthesis."), (second, dialled, "realism.")):
        assert isinstance(loop.objective, Realism)
        released = load_file(path)
        for name, tensor in loop.objective.synthesis.state_dict().items():
            assert torch.equal(tensor, released[start + name].float())
    second.train(checkpoint_minutes=60)
    record = exported(image_folder, tmp_path / "second", dialled)
    assert record["realism"]["training"]["runs"] == 2
    assert record["training"]["runs"] == 1


def test_realism_belongs_to_the_weights_it_was_trained_on(
    image_folder: Path, tmp_path: Path, first_run: Path, dialled: Path
) -> None:
    for trains in ("synthesis", "everything"):
        run = FidelitySettings(
            gigapixels=2 * 64**2 / 1e9, batch=1, crop=64, trains=trains, learning_rate=1e-2, graphics=0
        )
        objective = Fidelity(run, image_folder, CPU, init=dialled)
        Loop(objective, tmp_path / "more").train(checkpoint_minutes=60)
        checkpoint = tmp_path / "more" / "checkpoint.pt"
        record = export(checkpoint, image_folder, "fast", dialled.parent, replace=True)
        assert (dialled.parent / "fast.realism.onnx").exists() == (trains == "synthesis")
        # A better fidelity synthesis for the same latents keeps the realism setting; other latents lose it.
        assert ("realism" in record["dials"]) == ("realism" in record) == (trains == "synthesis")
        assert any(name.startswith("realism.") for name in load_file(dialled)) == (trains == "synthesis")
    with pytest.raises(UsageError, match="trained on other weights"):
        exported(image_folder, first_run, dialled)


def test_a_run_goes_on_with_the_weights_it_was_begun_on(
    image_folder: Path, first_run: Path, weights: Path, lpips: Path, tmp_path: Path
) -> None:
    other = load_file(weights)
    other["mean_network.leave.bias"] = other["mean_network.leave.bias"] + 1
    save_file(other, weights)
    shutil.copy(first_run / "checkpoint.pt", tmp_path)
    loop = loop_of(run_of(4, learning_rate=5e-3), image_folder, tmp_path, weights, lpips)
    with pytest.raises(UsageError, match="begun on weights"):
        loop.resume()


def test_without_its_strength_no_adversary_joins(image_folder: Path, weights: Path, lpips: Path) -> None:
    objective = Realism(run_of(4, adversary=0.0), image_folder, CPU, init=weights, lpips=lpips)
    figures = objective.train_step(1.0, 1.0)
    assert "adversary_weight" not in figures
    assert "discriminator_loss" not in figures


def test_realism_is_carried_over_to_fidelity_weights_trained_further(
    image_folder: Path, tmp_path: Path, weights: Path, dialled: Path, lpips: Path
) -> None:
    with pytest.raises(UsageError, match="no realism synthesis to start from"):
        load_start(weights, previous=weights)
    old = load_file(dialled)
    further = {k: t + 0.5 * (k.startswith("synthesis.") and t.is_floating_point()) for k, t in old.items()}
    further = {k: t for k, t in further.items() if not k.startswith("realism.")}
    new = tmp_path / "fast.safetensors"
    save_file(further, new)
    shutil.copy(dialled.with_name("manifest.json"), tmp_path)
    objective = Realism(run_of(4), image_folder, CPU, init=new, previous=dialled, lpips=lpips)
    for name, tensor in objective.synthesis.state_dict().items():
        torch.testing.assert_close(tensor, old[f"realism.{name}"].float() + 0.25, atol=2e-3, rtol=0)
    assert objective.totals.runs == 1  # the realism run behind it

    # A realism synthesis of the weights' own takes precedence, with the totals of its training.
    start = load_start(dialled, previous=weights)
    found = start.realism_synthesis().state_dict()
    assert all(torch.equal(tensor, old[f"realism.{name}"].float()) for name, tensor in found.items())
    assert start.realism_totals == load_start(dialled).realism_totals == objective.totals
    wider = replace(SMALL, scale=16)
    state = {"architecture": asdict(wider), "model": RdpModel(wider).state_dict(), "average": {}}
    save_checkpoint(tmp_path / "wider.pt", state)
    with pytest.raises(UsageError, match="of another size than those they should continue in"):
        load_start(tmp_path / "wider.pt", previous=dialled)


def test_a_discriminator_goes_on_learning_in_another_run(
    image_folder: Path, first_run: Path, dialled: Path, lpips: Path
) -> None:
    checkpoint = first_run / "checkpoint.pt"
    objective = Realism(run_of(4), image_folder, CPU, init=dialled, lpips=lpips, discriminator=checkpoint)
    learnt = load_checkpoint(checkpoint, CPU)["discriminator"]
    assert all(torch.equal(learnt[name], t) for name, t in objective.discriminator.state_dict().items())


def test_only_a_discriminator_that_fits_goes_on(
    image_folder: Path, first_run: Path, weights: Path, lpips: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.pt"
    state = load_checkpoint(first_run / "checkpoint.pt", CPU)["discriminator"]
    torch.save({"discriminator": {name: tensor[..., None] for name, tensor in state.items()}}, other)
    (broken := tmp_path / "broken.pt").write_bytes(b"")
    for path in (weights, other, broken, tmp_path / "nowhere.pt"):
        with pytest.raises(
            UsageError, match=r"no discriminator to continue with|cannot be read as a checkpoint"
        ):
            Realism(run_of(4), image_folder, CPU, init=weights, lpips=lpips, discriminator=path)


def test_realism_needs_its_networks(image_folder: Path, tmp_path: Path, weights: Path) -> None:
    with pytest.raises(UsageError, match="LPIPS-squeeze"):
        loop_of(run_of(2), image_folder, tmp_path / "run", weights, tmp_path)


def test_a_fidelity_run_does_not_start_from_a_realism_run(first_run: Path) -> None:
    with pytest.raises(UsageError, match="is of a realism run: export it"):
        load_start(first_run / "checkpoint.pt")


def test_training_starts_from_no_empty_checkpoint(tmp_path: Path) -> None:
    (broken := tmp_path / "broken.pt").write_bytes(b"")
    with pytest.raises(UsageError, match="cannot be read as a checkpoint"):
        load_start(broken)
