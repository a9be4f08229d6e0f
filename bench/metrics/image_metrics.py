"""The measures of a decoded image: distortion against its original, features for perception.

One `ImageMetrics` holds the networks of one process. Distances between distributions need all images of a
set; each image contributes its `SetFeatures`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bench.metrics.distribution import (
    band_energies,
    frechet_distance,
    image_patches,
    kernel_distance,
    pyramid_distances,
    pyramid_neighbourhoods,
)
from bench.metrics.eye_measures import eye_measures
from bench.metrics.held_out import EfficientNetLite2
from bench.metrics.natural import natural_measures
from rdpcodec.errors import UsageError
from rdpcodec.metrics import distortion
from rdpcodec.metrics.efficientnet import FEATURES, EfficientNetLite0
from rdpcodec.metrics.lpips import load_lpips
from rdpcodec.model.device import usable_device

# Neighbourhoods for each image and pyramid level; with these, a distance of 24 images moves by 2 % with the
# seed.
NEIGHBOURHOODS = 64
# Patches that go through the network at once: on a CPU, two take 0.4 of the time of eight, because they fit
# its caches.
PATCHES_AT_ONCE = 2
# How many bands' energies are compared with the original's; coarser bands are never far from it.
BANDS = 3


@dataclass(frozen=True)
class SetFeatures:
    """One image's part in distances between distributions.

    features: EfficientNet-Lite0's, of patches of 256×256 and of patches shifted by 128, float16 `[n, 1280]`;
    held_out: the same from EfficientNet-Lite2, which no loss has seen, `[0, 1280]` if it is missing;
    neighbourhoods: of each pyramid level, float16 `[64, 3, 7, 7]`.
    """

    features: np.ndarray
    held_out: np.ndarray
    neighbourhoods: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Reference:
    """An original, `[H, W, 3]`, its LPIPS features by network and the energy of its bands, computed once for
    all comparisons."""

    image: np.ndarray
    energies: list[float]
    lpips_features: dict[str, list[Tensor]]


@dataclass(frozen=True)
class MetricOptions:
    """What `ImageMetrics` is made from. lpips: see `load_lpips`; device: where networks run; butteraugli: see
    `eye_measures`.
    """

    lpips: Path | None
    device: str
    butteraugli: Path | None = None


class ImageMetrics:
    """Measures of 8-bit RGB images, `[H, W, 3]`."""

    def __init__(self, lpips: Path | None, device: str = "cpu", butteraugli: Path | None = None) -> None:
        """lpips: where the LPIPS networks are, see `load_lpips`; butteraugli: see `eye_measures`.

        `notes` says what to install for each measure that is unavailable here. Raises `UsageError` without
        LPIPS, or for a device that cannot be used.
        """
        self.device = usable_device(device)
        self._lpips = {name: load_lpips(name, lpips).to(self.device) for name in ("alex", "squeeze")}
        self._features = EfficientNetLite0().to(self.device)
        self._eyes, self.notes = eye_measures(butteraugli)
        self._natural, notes = natural_measures()
        self.notes += notes
        self._held_out: EfficientNetLite2 | None = None
        try:
            self._held_out = EfficientNetLite2().to(self.device)
        except UsageError as error:
            self.notes.append(str(error))

    @property
    def names(self) -> str:
        """The available measures among those that need a component of their own."""
        held_out = ["held_out"] if self._held_out else []
        return ",".join([*self._eyes, *self._natural, *held_out])

    @torch.inference_mode()
    def reference(self, original: np.ndarray) -> Reference:
        """Prepare an original for comparison with decoded images."""
        x = self._tensor(original)[None]
        features = {name: network.features(x) for name, network in self._lpips.items()}
        return Reference(original, band_energies(x[0].cpu()), features)

    @torch.inference_mode()
    def distortion(self, reference: Reference, decoded: np.ndarray) -> dict[str, float]:
        """All measures of one image: against its original, and what it looks like by itself.

        MS-SSIM is the index, of RGB; `energy_1` to `energy_3` are the finest bands' energies relative to the
        original's.
        """
        original = reference.image
        x = self._tensor(decoded)[None]
        energies = zip(reference.energies, band_energies(x[0].cpu()), strict=True)
        return {
            "mse": distortion.mse(original, decoded),
            "psnr": distortion.psnr(original, decoded),
            "ssim": distortion.ssim(original, decoded),
            "ms_ssim": distortion.ms_ssim(original, decoded),
            **{
                f"lpips_{name}": float(network.between(reference.lpips_features[name], network.features(x)))
                for name, network in self._lpips.items()
            },
            **{name: measure(original, decoded) for name, measure in self._eyes.items()},
            **{name: measure(decoded) for name, measure in self._natural.items()},
            **{
                f"energy_{number}": found / known if known else float("nan")
                for number, (known, found) in enumerate(list(energies)[:BANDS], 1)
            },
        }

    @torch.inference_mode()
    def classification(self, original: np.ndarray, decoded: np.ndarray, label: int) -> dict[str, float]:
        """Whether a frozen classifier recognises the decoded image, as 0 or 1: top-1, top-5, and whether its
        answer is the same as for the original. label: the true ImageNet class, 0..999.
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
        """The image's contribution to the distribution it belongs to."""
        x = self._tensor(image)
        drawn = pyramid_neighbourhoods(x.cpu(), NEIGHBOURHOODS)
        held_out = np.zeros((0, FEATURES))
        if self._held_out:
            held_out = patch_features(x, self._held_out.features, FEATURES)
        return SetFeatures(
            patch_features(x, self._features.features, FEATURES).astype(np.float16),
            held_out.astype(np.float16),
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
    # An image without patches splits into one empty part.
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
    """Fréchet and kernel distance between the distributions of originals and decoded images, in the same
    order; kernel distances need two images with patches.
    """
    sides = originals, decoded
    first, second = (np.concatenate([part.features for part in parts]) for parts in sides)
    found = {"frechet": frechet_distance(first, second)} if min(len(first), len(second)) > 1 else {}
    for name, field in (("kernel", "features"), ("kernel_held_out", "held_out")):
        drawn = [[getattr(part, field) for part in parts] for parts in sides]
        numbers = [np.repeat(np.arange(len(parts)), [len(part) for part in parts]) for parts in drawn]
        if len(np.unique(numbers[0])) > 1:
            a, b = (np.concatenate(parts) for parts in drawn)
            found[name] = kernel_distance(a, b, (numbers[0], numbers[1]))
    return found


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
