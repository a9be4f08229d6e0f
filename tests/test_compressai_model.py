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


@pytest.mark.parametrize("realism", [0.5, 1.0])
def test_the_estimate_is_of_the_models_realism(images: list[Image.Image], realism: float) -> None:
    model = RdpCompressionModel(20, realism=realism).eval()
    x = tensor(images[0].crop((64, 64, 256, 256)))
    psnr = inference(model, x)["psnr-rgb"]
    assert inference_entropy_estimation(model, x)["psnr-rgb"] == pytest.approx(psnr, abs=0.1)
    model.realism = 0.0
    assert inference_entropy_estimation(model, x)["psnr-rgb"] > psnr + 0.1


def test_a_realism_that_the_weights_lack_is_refused() -> None:
    with pytest.raises(UsageError, match="no realism synthesis"):
        RdpCompressionModel(realism=1, model=None)(torch.rand(1, 3, 64, 64))


def test_a_model_that_is_cast_makes_the_same_files(images: list[Image.Image]) -> None:
    model, x = RdpCompressionModel(40).eval(), tensor(images[0].crop((0, 0, 192, 192)))[None]
    coded = model.compress(x)
    half = model.half()
    assert half.compress(x.half()) == coded
    assert half.decompress(**coded)["x_hat"].dtype is torch.float16
    assert inference(half, x[0].half())["psnr-rgb"] > 25


def test_the_estimate_of_a_model_that_is_cast_is_the_same(images: list[Image.Image]) -> None:
    model, x = RdpCompressionModel(40, realism=1).eval(), tensor(images[0].crop((0, 0, 192, 192)))
    expected = inference_entropy_estimation(model, x)
    found = inference_entropy_estimation(model.half(), x.half())
    assert found["bpp"] == pytest.approx(expected["bpp"], rel=0.01)
    assert found["psnr-rgb"] == pytest.approx(expected["psnr-rgb"], abs=0.05)
    with pytest.raises(UsageError, match="trains in float32"):
        model.train()(x[None].half())


@pytest.mark.parametrize("device", ["meta", *(["cuda"] if torch.cuda.is_available() else [])])
def test_a_model_that_is_moved_makes_the_same_files(images: list[Image.Image], device: str) -> None:
    model, x = RdpCompressionModel(40).eval(), tensor(images[0].crop((0, 0, 64, 64)))[None]
    coded = model.compress(x)
    moved = model.to(device)
    assert moved.compress(x) == coded
    assert moved.decompress(**coded)["x_hat"].device.type == device


def test_a_saved_model_keeps_its_realism(images: list[Image.Image]) -> None:
    model, x = RdpCompressionModel(20, realism=1).eval(), tensor(images[0].crop((0, 0, 64, 64)))[None]
    again = RdpCompressionModel.from_state_dict(model.state_dict()).half().eval()
    again.quality, again.realism = 20, 1
    assert again.update()
    assert next(again.parameters()).dtype is torch.float16  # the tables are counted beside it
    decoded = again.float().decompress(**again.compress(x))["x_hat"]
    expected = model.decompress(**model.compress(x))["x_hat"]
    assert float((decoded - expected).square().mean()) < 1e-3


def test_loaded_weights_code_after_update(images: list[Image.Image]) -> None:
    x, other = tensor(images[0].crop((0, 0, 64, 64)))[None], RdpCompressionModel(20)
    with torch.no_grad():
        other.network.synthesis.bypass.bias.add_(0.01)
    model = RdpCompressionModel(20).eval()
    model.load_state_dict(other.state_dict())
    with pytest.raises(UsageError, match="call update"):
        model.compress(x)
    assert model.update()
    assert other.update(force=True)
    coded = model.compress(x)
    decoded = model.decompress(**coded)["x_hat"]
    assert torch.equal(decoded, other.decompress(**coded)["x_hat"])
    released = RdpCompressionModel(20)
    assert not torch.equal(decoded, released.decompress(**released.compress(x))["x_hat"])


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
