"""Runs only where CompressAI is installed. It pins numpy<2, so `make test` makes it an environment."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torchvision_operators  # noqa: F401
from PIL import Image
from torch import Tensor

from rdpcodec import Codec
from rdpcodec.errors import UsageError
from rdpcodec.metrics.distortion import psnr
from rdpcodec.model.rdp_model import RdpModel
from rdpcodec.weights.architecture import Architecture

pytest.importorskip("compressai")

from compressai.registry import MODELS
from compressai.utils.eval_model.__main__ import inference, inference_entropy_estimation

from rdpcodec import compressai_model
from rdpcodec.compressai_model import RdpCompressionModel


@pytest.fixture(scope="module")
def images(photograph: Image.Image) -> list[Image.Image]:
    return [photograph.crop((0, 0, 576, 384)), photograph.crop((24, 80, 536, 400))]


def tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


def test_the_model_is_registered_by_name() -> None:
    assert MODELS["rdpcodec"] is RdpCompressionModel


@pytest.mark.parametrize("quality", [10, 50, 90])
def test_compressais_evaluation_finds_our_bytes_and_our_psnr(
    codec: Codec, images: list[Image.Image], quality: float
) -> None:
    model = RdpCompressionModel(quality).eval()
    for image in images:
        theirs = inference(model, tensor(image))
        data = codec.compress(image, quality)
        assert theirs["bpp"] == pytest.approx(8 * len(data) / (image.width * image.height), rel=0.005)
        ours = psnr(np.asarray(image), np.asarray(codec.decompress(data)))
        assert theirs["psnr-rgb"] == pytest.approx(ours, abs=0.01)


def test_the_estimate_is_near_the_files(images: list[Image.Image]) -> None:
    model = RdpCompressionModel(50).eval()
    image = images[0]
    estimated = inference_entropy_estimation(model, tensor(image))
    coded = inference(model, tensor(image))
    assert estimated["bpp"] == pytest.approx(coded["bpp"], rel=0.02)
    assert estimated["psnr-rgb"] == pytest.approx(coded["psnr-rgb"], abs=0.05)


def test_a_batch_is_coded_image_by_image(codec: Codec, images: list[Image.Image]) -> None:
    model = RdpCompressionModel(30).eval()
    parts = [images[0].crop((left, 0, left + 128, 64)) for left in (0, 200)]
    coded = model.compress(torch.stack([tensor(part) for part in parts]))
    assert coded["shape"] == (4, 8)
    decoded = model.decompress(coded["strings"], coded["shape"])["x_hat"]
    assert decoded.shape == (2, 3, 64, 128)
    for file, x in zip(coded["strings"][0], decoded, strict=True):
        expected = np.asarray(codec.decompress(file), int)  # by the other engine: at most a rounding apart
        np.testing.assert_allclose((x * 255).round().int().permute(1, 2, 0).numpy(), expected, atol=1, rtol=0)


def test_training_sees_noise_and_gradients() -> None:
    torch.manual_seed(0)
    model = RdpCompressionModel(model=None).train()
    x = torch.rand(2, 3, 64, 64)
    first, second = model(x), model(x)
    assert not torch.equal(first["likelihoods"]["y"], second["likelihoods"]["y"])
    bits = sum(-likelihood.log2().sum() for likelihood in first["likelihoods"].values())
    (bits / x.numel() + first["x_hat"].square().mean()).backward()
    trained = [name for name, p in model.named_parameters() if p.grad is not None]
    assert any("analysis" in name for name in trained)
    assert any("scale_network" in name for name in trained)


@pytest.mark.parametrize("gated", [False, True])
def test_weights_of_any_size_become_a_codec_after_update(gated: bool) -> None:
    size = Architecture(
        eighth=16,
        sixteenth=24,
        latents=96,
        hyper_latents=8,
        prior=16,
        scale=8,
        synthesis_blocks=(1, 2),
        gated=gated,
    )
    torch.manual_seed(0)
    state = {f"network.{name}": t for name, t in RdpModel(size).state_dict().items()}
    model = RdpCompressionModel.from_state_dict(state).eval()
    assert model.network.architecture == size
    x = torch.rand(1, 3, 64, 64)
    with pytest.raises(UsageError, match="call update"):
        model.compress(x)
    assert model.update()
    assert not model.update()
    assert model.update(force=True)
    coded = model.compress(x)
    with torch.no_grad():
        expected = model(x)["x_hat"].clamp(0, 1)
    decoded = model.decompress(coded["strings"], coded["shape"])["x_hat"]
    assert float((decoded - expected).abs().max()) < 2 / 255


def test_the_modules_example_runs() -> None:
    lines = (compressai_model.__doc__ or "").splitlines()
    names: dict[str, Any] = {}
    exec("\n".join(line[4:] for line in lines if line.startswith("    ")), names)
    assert len(names["coded"]["strings"][0]) == 1
