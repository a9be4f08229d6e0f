from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lpips_tensors import ALEX, FIRES, alex_tensors, squeeze_tensors
from safetensors.torch import save_file
from torch import Tensor, nn

from rdpcodec.errors import UsageError
from rdpcodec.metrics import lpips as lpips_module
from rdpcodec.metrics.lpips import SQUARE, WEIGHTS_VARIABLE, Lpips, load_lpips


def images(seed: int) -> Tensor:
    return torch.rand(2, 3, 80, 97, generator=torch.Generator().manual_seed(seed))


def reference_alex(tensors: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
    """The definition, on torchvision's layout of AlexNet's features built from stock layers."""
    layers: list[nn.Module] = []
    for i, (name, (out, inputs, side)) in enumerate(ALEX.items()):
        if i in (1, 2):
            layers.append(nn.MaxPool2d(3, 2))
        conv = nn.Conv2d(inputs, out, side, stride=4 if i == 0 else 1, padding=(2, 2, 1, 1, 1)[i])
        conv.weight.data, conv.bias.data = (
            tensors[f"net.slice{name}.weight"],
            tensors[f"net.slice{name}.bias"],
        )
        layers += [conv, nn.ReLU()]
    return compared(tensors, layers, [i for i, x in enumerate(layers) if isinstance(x, nn.ReLU)], x, y)


class Fire(nn.Module):
    """A fire module of SqueezeNet, as Iandola et al. 2016 draw it."""

    def __init__(self, tensors: dict[str, Tensor], name: str, inputs: int, narrow: int, wide: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, narrow, 1)
        self.expand1x1 = nn.Conv2d(narrow, wide, 1)
        self.expand3x3 = nn.Conv2d(narrow, wide, 3, padding=1)
        self.load_state_dict(
            {key: tensors[f"net.slices.{name}.{key}"] for key in self.state_dict()}, strict=True
        )

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.squeeze(x).relu()
        return torch.cat([self.expand1x1(squeezed).relu(), self.expand3x3(squeezed).relu()], 1)


def reference_squeeze(tensors: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
    """The same on torchvision's layout of SqueezeNet 1.1, whose layers 1, 4, 7 and 9 to 12 are compared, as
    the lpips package cuts them.
    """
    conv = nn.Conv2d(3, 64, 3, stride=2)
    conv.load_state_dict({key: tensors[f"net.slices.0.0.{key}"] for key in conv.state_dict()})
    fires = {int(name.split(".")[1]): Fire(tensors, name, *sizes) for name, sizes in FIRES.items()}
    others = {0: conv, 1: nn.ReLU()} | {i: nn.MaxPool2d(3, 2, ceil_mode=True) for i in (2, 5, 8)}
    layers = [(fires | others)[i] for i in range(13)]
    return compared(tensors, layers, [1, 4, 7, 9, 10, 11, 12], x, y)


def compared(
    tensors: dict[str, Tensor], layers: list[nn.Module], judged: list[int], x: Tensor, y: Tensor
) -> Tensor:
    """Weighted squared differences of unit features after the judged layers."""
    shift = torch.tensor([-0.030, -0.088, -0.188])[:, None, None]
    scale = torch.tensor([0.458, 0.448, 0.450])[:, None, None]
    a, b = ((2 * image - 1 - shift) / scale for image in (x, y))
    total = torch.zeros(len(x))
    for i, layer in enumerate(layers):
        a, b = layer(a), layer(b)
        if i in judged:
            difference = (F.normalize(a) - F.normalize(b)).square()
            weight = tensors[f"lin{judged.index(i)}.model.1.weight"]
            total += (difference * weight).sum(1).mean((1, 2))
    return total


@pytest.mark.parametrize(
    ("network", "make", "reference"),
    [("alex", alex_tensors, reference_alex), ("squeeze", squeeze_tensors, reference_squeeze)],
)
def test_lpips_is_its_definition_on_stock_layers(
    network: str,
    make: Callable[[], dict[str, Tensor]],
    reference: Callable[[dict[str, Tensor], Tensor, Tensor], Tensor],
) -> None:
    x, y = images(1), images(2)
    with torch.no_grad():
        expected = reference(make(), x, y)
        assert torch.allclose(Lpips(network, make())(x, y), expected, rtol=1e-4)


def test_eight_bit_images_are_compared_from_black_to_white() -> None:
    """255 is white: the value is that of the same images in 0..1."""
    pair = [np.random.default_rng(seed).integers(0, 256, (64, 80, 3), dtype=np.uint8) for seed in (1, 2)]
    tensors = [torch.tensor(image).permute(2, 0, 1)[None] / 255 for image in pair]
    lpips = Lpips("alex", alex_tensors())
    assert lpips.distance(*pair) == pytest.approx(float(lpips(*tensors)), rel=1e-5)


@pytest.mark.parametrize(("network", "make"), [("alex", alex_tensors), ("squeeze", squeeze_tensors)])
@pytest.mark.parametrize("size", [(1100, 64), (48, 1030), (97, 450), (383, 352), (320, 161)])
def test_large_images_are_compared_in_squares_to_the_same_result(
    network: str,
    make: Callable[[], dict[str, Tensor]],
    size: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where squares are smaller, so that there are several each way and one that has only a margin."""
    if max(size) < SQUARE:
        monkeypatch.setattr(lpips_module, "SQUARE", 160)
    rng = np.random.default_rng(sum(size))
    reference = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    decoded = np.clip(reference + rng.normal(0, 20, reference.shape), 0, 255).astype(np.uint8)
    lpips = Lpips(network, make())
    whole = lpips(*(torch.tensor(image).permute(2, 0, 1)[None] / 255 for image in (reference, decoded)))
    assert lpips.distance(reference, decoded) == pytest.approx(float(whole), rel=1e-5)


def test_features_kept_from_a_reference_change_no_result() -> None:
    """Not after another reference either, nor after the same array has got other values."""
    rng = np.random.default_rng(5)
    first, second, *decoded = rng.integers(0, 256, (5, 64, 80, 3), dtype=np.uint8)
    kept, changing = Lpips("alex", alex_tensors()), first.copy()
    for reference in (first, first, second, first, 255 - first):
        changing[:] = reference
        for image in decoded:
            fresh = Lpips("alex", alex_tensors()).distance(reference, image)
            assert kept.distance(changing, image) == pytest.approx(fresh, rel=1e-5)


def test_lpips_is_zero_for_equal_images_symmetric_and_grows_with_the_error() -> None:
    lpips, x = Lpips("alex", alex_tensors()), images(1)
    noise = images(3) - 0.5
    assert torch.all(lpips(x, x) == 0)
    assert torch.allclose(lpips(x, images(2)), lpips(images(2), x), rtol=1e-4)
    little, much = lpips(x, x + 0.05 * noise), lpips(x, x + 0.5 * noise)
    assert torch.all((little > 0) & (little < much))


def test_the_gradient_reaches_the_image_and_not_the_weights() -> None:
    lpips, x = Lpips("alex", alex_tensors()), images(1).requires_grad_()
    lpips(x, images(2)).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().max() > 0
    assert not list(lpips.parameters())


def test_weights_come_from_a_file_a_folder_or_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lpips-alex.safetensors"
    save_file(alex_tensors(), path)
    monkeypatch.delenv(WEIGHTS_VARIABLE, raising=False)
    expected = load_lpips("alex", path)(images(1), images(2))
    assert torch.equal(load_lpips("alex", tmp_path)(images(1), images(2)), expected)
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path))
    assert torch.equal(load_lpips("alex")(images(1), images(2)), expected)


def test_missing_weights_are_an_error_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="must be one of"):
        load_lpips("vgg")
    with pytest.raises(UsageError, match="no weights of LPIPS-squeeze"):
        load_lpips("squeeze", tmp_path)
    for tensors in ({"other": torch.zeros(1)}, squeeze_tensors(), {"net.slice1.0.weight": torch.zeros(1)}):
        save_file(tensors, tmp_path / "lpips-alex.safetensors")
        with pytest.raises(UsageError, match="no weights of LPIPS-alex"):
            load_lpips("alex", tmp_path)
    monkeypatch.delenv(WEIGHTS_VARIABLE, raising=False)
    monkeypatch.setitem(__import__("sys").modules, "lpips", None)
    with pytest.raises(UsageError, match=WEIGHTS_VARIABLE):
        load_lpips("alex")


@pytest.mark.skipif(
    WEIGHTS_VARIABLE not in os.environ, reason=f"needs canonical weights: set {WEIGHTS_VARIABLE}"
)
def test_squeeze_reproduces_the_value_in_torchmetrics_documentation() -> None:
    torch.manual_seed(123)
    x, y = torch.rand(10, 3, 100, 100), torch.rand(10, 3, 100, 100)
    assert float(load_lpips("squeeze")(x, y).mean()) == pytest.approx(0.1024, abs=5e-5)
