"""What a decoded image is measured with: distortion against its original, features for perception.

One `Metrics` holds the networks of one process. Distances between distributions need all images of a set; an
image's part in them is its `SetFeatures`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bench.measure.distribution import (
    frechet_distance,
    image_patches,
    kernel_distance,
    pyramid_distances,
    pyramid_neighbourhoods,
)
from rdpcodec.metrics import distortion
from rdpcodec.metrics.efficientnet import FEATURES, EfficientNetLite0
from rdpcodec.metrics.perceptual import load_lpips

# Of each image and pyramid level: enough for a distance of 24 images that moves by 2 % with the seed.
NEIGHBOURHOODS = 64
# Patches that go through the network at once: two take 0.4 of the time of eight on a CPU, whose caches they
# fit.
PATCHES_AT_ONCE = 2


@dataclass(frozen=True)
class SetFeatures:
    """One image's part in distances between distributions.

    features: EfficientNet-Lite0's, of patches of 256×256 and the same shifted by 128, float16 `[n, 1280]`;
    neighbourhoods: of each pyramid level, float16 `[64, 3, 7, 7]`.
    """

    features: np.ndarray
    neighbourhoods: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Reference:
    """An original, `[H, W, 3]`, and its LPIPS features by network, found once for all its comparisons."""

    image: np.ndarray
    lpips_features: dict[str, list[Tensor]]


class Metrics:
    """Metrics of 8-bit RGB images, `[H, W, 3]`."""

    def __init__(self, lpips: Path | None, device: str = "cpu") -> None:
        """lpips: where the LPIPS networks are, see `load_lpips`."""
        self.device = torch.device(device)
        self._lpips = {name: load_lpips(name, lpips).to(self.device) for name in ("alex", "squeeze")}
        self._features = EfficientNetLite0().to(self.device)

    @torch.inference_mode()
    def reference(self, original: np.ndarray) -> Reference:
        """The original that decoded images are going to be compared with."""
        x = self._tensor(original)[None]
        return Reference(original, {name: network.features(x) for name, network in self._lpips.items()})

    @torch.inference_mode()
    def distortion(self, reference: Reference, decoded: np.ndarray) -> dict[str, float]:
        """MSE, PSNR, SSIM, MS-SSIM, and LPIPS with both networks."""
        original = reference.image
        x = self._tensor(decoded)[None]
        return {
            "mse": distortion.mse(original, decoded),
            "psnr": distortion.psnr(original, decoded),
            "ssim": distortion.ssim(original, decoded),
            "ms_ssim": distortion.ms_ssim(original, decoded),
            **{
                f"lpips_{name}": float(network.between(reference.lpips_features[name], network.features(x)))
                for name, network in self._lpips.items()
            },
        }

    @torch.inference_mode()
    def classification(self, original: np.ndarray, decoded: np.ndarray, label: int) -> dict[str, float]:
        """Whether a frozen classifier recognises the decoded image, as 0 or 1: top-1, top-5, and whether it
        says what it says of the original. label: the true ImageNet class, 0..999.
        """
        views = torch.stack([self._tensor(classifier_view(image)) for image in (original, decoded)])
        first, second = self._features(views).topk(5).indices.tolist()
        return {
            "top1": float(second[0] == label),
            "top5": float(label in second),
            "agreement": float(first[0] == second[0]),
        }

    @torch.inference_mode()
    def set_features(self, image: np.ndarray) -> SetFeatures:
        """What the image adds to the distribution it belongs to."""
        x = self._tensor(image)
        drawn = pyramid_neighbourhoods(x.cpu(), NEIGHBOURHOODS)
        return SetFeatures(
            patch_features(x, self._features.features, FEATURES).astype(np.float16),
            tuple(d.numpy().astype(np.float16) for d in drawn),
        )

    def _tensor(self, image: np.ndarray) -> Tensor:
        return image_tensor(image).to(self.device)


def image_tensor(image: np.ndarray) -> Tensor:
    """8-bit RGB `[H, W, 3]` → `[3, H, W]` in [0, 1]."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


def patch_features(x: Tensor, features: Callable[[Tensor], Tensor], width: int) -> np.ndarray:
    """Features `[n, width]` of the patches of an image `[3, H, W]`, see `image_patches`."""
    found = [x.new_zeros(0, width)]
    # An image without patches splits into one part without them.
    found += [features(part) for part in image_patches(x).split(PATCHES_AT_ONCE) if len(part)]
    return torch.cat(found).cpu().numpy()


def classifier_view(image: np.ndarray) -> np.ndarray:
    """The usual view of an ImageNet classifier: the shorter side scaled to 256, the middle 224×224."""
    whole = Image.fromarray(image)
    scale = 256 / min(whole.size)
    whole = whole.resize((round(whole.width * scale), round(whole.height * scale)), Image.Resampling.BICUBIC)
    left, top = (whole.width - 224) // 2, (whole.height - 224) // 2
    return np.asarray(whole.crop((left, top, left + 224, top + 224)))


def feature_distances(originals: list[SetFeatures], decoded: list[SetFeatures]) -> dict[str, float]:
    """Fréchet and kernel distance between the distributions of originals and decoded images."""
    first, second = (np.concatenate([part.features for part in parts]) for parts in (originals, decoded))
    return {"frechet": frechet_distance(first, second), "kernel": kernel_distance(first, second)}


def pixel_distance(originals: list[SetFeatures], decoded: list[SetFeatures]) -> float:
    """Sliced Wasserstein distance between originals and decoded images, mean over the pyramid's levels."""
    first, second = (
        [[torch.from_numpy(level).float() for level in part.neighbourhoods] for part in parts]
        for parts in (originals, decoded)
    )
    return float(np.mean(pyramid_distances(first, second)))


def distances(originals: list[SetFeatures], decoded: list[SetFeatures]) -> dict[str, float]:
    """All distances between the distributions of originals and decoded images."""
    return {
        **feature_distances(originals, decoded),
        "sliced_wasserstein": pixel_distance(originals, decoded),
    }
