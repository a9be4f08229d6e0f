"""Train the realism synthesis further, with more weight on the energy of fine detail.

python train.py VARIANT realism …   options of `rdpcodec train realism`, `--features` among them
VARIANT: control, strong=FACTOR (wide windows of the finest level weigh more up to quality 30), logs=WEIGHT (squared
logarithms of the ratio of energies in wide windows) or detail=WEIGHT (squared differences of energies there, relative
to their squared mean); weights are multiples of the rest of the distortion
"""

import sys
from itertools import islice

import torch

from rdpcodec.command_line import run
from rdpcodec.metrics import texture
from rdpcodec.training import losses, realism
from rdpcodec.training.commands import train
from rdpcodec.training.losses import PerceptualDistortion

LOG_FLOOR, ENERGY_FLOOR = 2e-3, 1e-5
kind, _, weight = sys.argv.pop(1).partition("=")
quality = torch.tensor([50.0])


class Told(realism.Realism):
    """Tells the distortion of texture the qualities of a batch."""

    def _image_gradient(self, batch, *, adversarial):
        global quality
        quality = batch.quality
        return super()._image_gradient(batch, adversarial=adversarial)


def strong(reference, decoded):
    """`texture_distortion`, with a larger weight on the finest level's wide windows at low qualities."""
    low = ((70 - quality) / 40).clamp(0, 1)  # 1 up to quality 30, 0 from 70 on
    original, judged = next(iter(texture._both(reference, decoded)))
    differences = texture._wide_deviations(original) - texture._wide_deviations(judged)
    more = texture._WIDE_WEIGHT * (float(weight) - 1) * low * differences.square().mean((1, 2, 3))
    return texture.texture_distortion(reference, decoded) + more


def logs(reference, decoded):
    total = 0.0
    for pair in islice(texture._both(reference, decoded), texture._WIDE_LEVELS):
        wanted, found = (texture._wide_deviations(image) + LOG_FLOOR for image in pair)
        total = total + (2 * (found / wanted).log()).square().mean((1, 2, 3))
    return total


def detail(reference, decoded):
    """The best guess at a deviation that is not known has too little energy; the best guess at an energy has not."""
    total = 0.0
    for pair in islice(texture._both(reference, decoded), texture._WIDE_LEVELS):
        wanted, found = (texture._wide_deviations(image).square() for image in pair)
        unit = (wanted.mean((2, 3), keepdim=True) + ENERGY_FLOOR).square()
        total = total + ((found - wanted).square() / unit).mean((1, 2, 3))
    return total


plain = realism.perceptual_distortion


def distortion(network, settings, decoded, x, phase):
    total, mse, lpips = plain(network, settings, decoded, x, phase)
    if kind in ("logs", "detail"):
        added = {"logs": logs, "detail": detail}[kind](x, decoded)
        total = total + float(weight) * total.detach() * added
    return PerceptualDistortion(total, mse, lpips)


if kind == "strong":
    losses.texture_distortion = strong
realism.perceptual_distortion = distortion
realism.Realism = Told
run(train, "train.py")
