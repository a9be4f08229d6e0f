"""Inception-v3 as the Fréchet Inception distance uses it, for figures to compare with published ones.

The network and its conversion from the TensorFlow original are torch-fidelity's, which downloads the weights
unless it is given their file. Needs the extra `inception`.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from rdpcodec.errors import UsageError

FEATURES = 2048


class InceptionV3(nn.Module):
    """The network, frozen."""

    def __init__(self, weights: Path | None = None) -> None:
        """weights: torch-fidelity's file, `weights-inception-2015-12-05-6726825d.pth`; downloaded if None.

        Raises `UsageError` if the package is missing or the weights are unavailable.
        """
        super().__init__()
        try:
            from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
        except ImportError as error:
            raise UsageError(
                "torch-fidelity is not installed: pip install 'rdpcodec[inception]' brings it"
            ) from error
        if weights is not None:
            _check(weights)
        try:
            self.network = FeatureExtractorInceptionV3(
                "inception-v3-compat", [str(FEATURES)], weights and str(weights)
            )
        except OSError as error:  # also what urllib raises
            raise UsageError(
                f"the weights of Inception-v3 cannot be downloaded ({error}): give their file"
            ) from error
        except RuntimeError as error:
            raise UsageError(f"{weights}: not the weights of torch-fidelity's Inception-v3") from error

    def features(self, x: Tensor) -> Tensor:
        """x: `[B, 3, H, W]`, sRGB in [0, 1] → the features before the classifier, `[B, 2048]`.

        Images may have any size: they are rounded to 8 bits and scaled to 299×299, as in the original.
        """
        (features,) = self.network(x.mul(255).round().to(torch.uint8))
        return features


def _check(weights: Path) -> None:
    """Read a file of weights without running code that it may hold; torch-fidelity itself would run it."""
    try:
        torch.load(weights, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UsageError(f"{weights}: cannot be read: {error.strerror}") from error
    except Exception as error:  # pickle and zipfile raise many kinds
        raise UsageError(f"{weights}: not a file of PyTorch weights") from error
