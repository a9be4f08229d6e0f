"""Runs where torch-fidelity is installed. It imports torchvision, so `make test` makes an environment for it.

The weights are random, as the original's are a download. The tests cover the steps before and after the
network, and compare our distances with torch-fidelity's.
"""

from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision_operators  # noqa: F401
from torch import nn

from bench.metrics.distribution import frechet_distance, kernel_distance
from bench.metrics.inception import FEATURES, InceptionV3
from rdpcodec.errors import UsageError

pytest.importorskip("torch_fidelity")

from torch_fidelity import feature_extractor_inceptionv3, metric_fid, metric_kid


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of random weights in torch-fidelity's layout."""
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save({}, path)
    extractor = feature_extractor_inceptionv3.FeatureExtractorInceptionV3
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extractor, "load_state_dict", lambda self, state: None)
        network = extractor("random", ["2048"], str(path))
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    torch.save(network.state_dict(), path)
    return path


def test_features_are_those_of_torch_fidelity(weights: Path) -> None:
    network = InceptionV3(weights)
    images = torch.randint(0, 256, (2, 3, 80, 64), dtype=torch.uint8)
    features = network.features(images / 255)
    assert features.shape == (2, FEATURES)
    (expected,) = network.network(images)
    assert torch.equal(features, expected)
    assert not torch.allclose(features[0], features[1])


def test_distances_are_those_of_torch_fidelity() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 1, (60, 16)), rng.normal(0.3, 1.2, (60, 16))
    statistics = [metric_fid.fid_features_to_statistics(torch.from_numpy(x)) for x in (first, second)]
    expected = metric_fid.fid_statistics_to_metric(*statistics, False)[metric_fid.KEY_METRIC_FID]
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-6)
    expected = metric_kid.kernel_mmd(first, second, kid_kernel="poly")
    assert kernel_distance(first, second) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("content", "error"), [(b"no weights", "not a file of PyTorch weights"), (None, "cannot be read")]
)
def test_files_that_are_not_weights_are_refused(tmp_path: Path, content: bytes | None, error: str) -> None:
    path = tmp_path / "weights.pth"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=error):
        InceptionV3(path)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "weights.pth")
    with pytest.raises(UsageError, match="not the weights of torch-fidelity's"):
        InceptionV3(tmp_path / "weights.pth")


def test_a_download_that_fails_asks_for_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(feature_extractor_inceptionv3, "load_state_dict_from_url", refused)
    with pytest.raises(UsageError, match=r"cannot be downloaded .*no route to host.*give their file"):
        InceptionV3()
