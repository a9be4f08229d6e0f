"""Training for fidelity: rate + λ·distortion over all qualities at once.

Distortion is squared error; `eyes` and `coarse` replace parts of it by distortions for eyes. With
`perception`, a share of the crops is judged by the realism synthesis, which then learns beside the fidelity
synthesis: latents that serve both cost next to nothing in squared error.

Several processes draw their own crops and average their gradients: N processes with batch B do what one does
with batch N·B.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from rdpcodec.errors import UsageError
from rdpcodec.metrics.lpips import load_lpips
from rdpcodec.model.rdp_model import RdpModel, TrainingOutput
from rdpcodec.model.transforms import Synthesis
from rdpcodec.training.checkpoints.haar import haar_model
from rdpcodec.training.checkpoints.start import Start, load_start
from rdpcodec.training.checkpoints.totals import Totals
from rdpcodec.training.descent.average import WeightAverage
from rdpcodec.training.descent.optimizers import build_optimizers, clip_gradients, load_states, take_step
from rdpcodec.training.images.graphics import graphics
from rdpcodec.training.images.image_set import ImageSet, random_qualities, to_device
from rdpcodec.training.images.validation import QUALITIES, load_training_and_validation, points_of
from rdpcodec.training.loop import CHECKED, averaging_gradients, process_count
from rdpcodec.training.objectives.losses import (
    LPIPS_UNIT,
    autocast,
    fidelity_distortion,
    random_phase,
    rate_distortion_loss,
)
from rdpcodec.training.objectives.realism_learner import RealismLearner
from rdpcodec.training.randomness import Randomness
from rdpcodec.training.settings import FROZEN, FidelitySettings
from rdpcodec.training.speed.compiling import compile_blocks, compiles
from rdpcodec.training.speed.cuda_graph import CudaGraphed
from rdpcodec.weights.architecture import SIZES

# Figures of a step for the log; the last only with a realism synthesis.
FIGURES = ("loss", "gradient_norm", "bpp", "psnr", "lpips")
# Graphics are drawn once, when a run begins: enough for ten thousand crops to differ.
GRAPHICS_IMAGES = 256
GRAPHICS_SIDE = 384


class Decoded(NamedTuple):
    """A decoded batch: the fidelity synthesis's images with their rates, and the realism synthesis's versions
    of the first of them, `[P, 3, H, W]`, if there is one.
    """

    output: TrainingOutput
    realistic: Tensor | None


class Decoders(nn.Module):
    """The model and, beside its own synthesis, the realism synthesis on the same latents."""

    def __init__(self, model: RdpModel, realism: Synthesis | None, perceived: int) -> None:
        """perceived: how many images of a batch the realism synthesis decodes."""
        super().__init__()
        self.model, self.realism, self.perceived = model, realism, perceived

    def forward(self, x: Tensor, quality: Tensor, *, by_rate: bool) -> Decoded:
        """Decode images x `[B, 3, H, W]` at `quality` `[B]` with both syntheses; see `RdpModel.forward`."""
        output = self.model(x, quality, by_rate=by_rate)
        if self.realism is None:
            return Decoded(output, None)
        first = slice(self.perceived)
        return Decoded(output, self.realism(output.rounded[first], quality[first]).float())


def _drawn_images(settings: FidelitySettings, device: torch.device) -> ImageSet | None:
    """The drawn graphics of a run, if it trains on any."""
    if not settings.graphics:
        return None
    return ImageSet.of(graphics(GRAPHICS_IMAGES, max(settings.crop, GRAPHICS_SIDE), settings.seed), device)


def _given_start(init: Path, previous: Path | None, size: str | None) -> Start:
    """What `init` holds. Raises `UsageError` when that is not of the size that is asked for."""
    start = load_start(init, previous)
    if size and start.model.architecture != SIZES[size]:
        raise UsageError(f"{init}: these weights are not of size {size!r}: leave --size out")
    return start


class Fidelity:
    """The objective of a fidelity run: model, optimizers, averaged weights and images."""

    def __init__(
        self,
        settings: FidelitySettings,
        data: Path,
        device: torch.device,
        *,
        init: Path | None = None,
        previous: Path | None = None,
        lpips: Path | None = None,
        compiled: str | None = None,
    ) -> None:
        """Load the images below `data` and the weights to start from.

        init: a checkpoint or safetensors; without it, a new model with a Haar transform. previous: with
        `settings.perception`, weights whose realism synthesis is carried over if `init` has none. lpips:
        where LPIPS-squeeze is, see `load_lpips`. compiled: "loss" compiles the whole loss, for long runs on
        a GPU; "blocks" compiles each block, which takes less time before the first step.

        Raises `UsageError` when there are too few images, or when weights do not fit or cannot be read.
        """
        self.settings, self.device = settings, device
        self.randomness = Randomness(settings.seed)
        # Before the images, which may take minutes: problems with these files are reported at once.
        start = _given_start(init, previous, settings.size) if init else None
        network = load_lpips("squeeze", lpips).to(device) if settings.perception else None
        self.training, self.validation_crops = load_training_and_validation(data, settings.crop, device)
        self.drawn = _drawn_images(settings, device)
        if start is None:
            size = SIZES[settings.size or "fast"]
            start = Start(haar_model(size, self.training, self.randomness.generator))
        self.model, self.totals = start.model.to(device), start.totals
        for part in FROZEN[settings.trains]:
            self.model.get_submodule(part).requires_grad_(False)
        densities = [*self.model.hyper_prior.parameters(), *self.model.residual_density.parameters()]
        self.optimizers = build_optimizers(self.model, settings.learning_rate, densities)
        self.average = WeightAverage(self.model)
        self.realism: RealismLearner | None = None
        if network is not None:
            synthesis = start.realism_synthesis().to(device)
            self.realism = RealismLearner(settings, synthesis, start.realism_totals, network)
            self.optimizers += self.realism.optimizers
        self.randomness.seed_per_rank()
        decoders = Decoders(self.model, self.realism.synthesis if self.realism else None, settings.perceived)
        self.forward = averaging_gradients(decoders)
        self._compile(compiled if compiled and compiles(device) else None)

    def _compile(self, compiled: str | None) -> None:
        """Set up the functions of a step: compiled if asked for, and as a CUDA graph on a single GPU."""
        self.compiled = compiled
        self.loss = torch.compile(self._loss) if compiled == "loss" else self._loss
        if compiled == "blocks":
            compile_blocks(self.forward)
        alone_on_gpu = self.device.type == "cuda" and process_count() == 1
        self.gradients = CudaGraphed(self._gradients) if alone_on_gpu else self._gradients

    def batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """Draw crops `[B, 3, H, W]` in [0, 1], qualities `[B]`, and a `random_phase` for LPIPS.

        Without a realism synthesis no phase is drawn: it is 0, and unused.
        """
        generator, count, side = self.randomness.generator, self.settings.batch, self.settings.crop
        x = self.training.crops(count, side, generator)
        if self.drawn is not None:
            which = (torch.rand(count, generator=generator) < self.settings.graphics).nonzero()[:, 0]
            if len(which):
                x[to_device(which, self.device)] = self.drawn.crops(len(which), side, generator)
        quality = random_qualities(count, self.settings.qualities, generator)
        x, quality = x.contiguous(memory_format=torch.channels_last), to_device(quality, self.device)
        if self.realism is None:
            return x, quality, torch.zeros(2, dtype=torch.int64, device=self.device)
        return x, quality, random_phase(generator, self.device)

    def train_step(self, factor: float, progress: float = 0.0) -> dict[str, float]:
        """See `Objective.train_step`."""
        figures = dict(zip(FIGURES, self.gradients(*self.batch()).tolist(), strict=False))
        if all(math.isfinite(figures[name]) for name in CHECKED):
            self.update(factor)
        return figures

    def update(self, factor: float) -> None:
        """Take a step along the gradients at `factor` times the peak rates, and average the weights."""
        take_step(self.optimizers, factor)
        self.average.update_parameters(self.model)
        if self.realism is not None:
            self.realism.update_average()

    def _gradients(self, x: Tensor, quality: Tensor, phase: Tensor) -> Tensor:
        """Store the clipped gradients with the parameters and return `FIGURES`."""
        self.forget_gradients()
        total, figures = self.loss(x, quality, phase)
        total.backward()
        return torch.stack([total.detach(), self.clip_gradients(), *figures])

    def forget_gradients(self) -> None:
        """Remove the gradients from the parameters."""
        for parameter in self.parameters():
            parameter.grad = None

    def clip_gradients(self) -> Tensor:
        """Clip each module's gradient, and return the norm of all gradients before clipping."""
        return torch.stack([clip_gradients(module) for module in self._modules()]).norm()

    def _loss(self, x: Tensor, quality: Tensor, phase: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return what is minimised, and the remaining `FIGURES`, for a `batch`."""
        with autocast(self.settings, self.device):
            decoded = self.forward(x, quality, by_rate=self.settings.by_rate)
        distortion, figures = self._distortion(decoded, x, phase)
        loss = rate_distortion_loss(decoded.output, x, quality, distortion)
        return loss.total, [loss.bpp.detach().mean(), loss.psnr.detach(), *figures]

    def _distortion(self, decoded: Decoded, x: Tensor, phase: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The distortion of each crop, `[B]`: of the first ones, the realism synthesis's; of the others, the
        fidelity synthesis's. And LPIPS, as far as it is known.
        """
        count, reconstruction = self.settings.perceived, decoded.output.reconstruction
        of_others = fidelity_distortion(self.settings, reconstruction[count:], x[count:])
        if self.realism is None or decoded.realistic is None:
            return of_others, []
        realistic = self.realism.distortion(decoded.realistic, x[:count], phase)
        distortion = torch.cat([realistic.total / LPIPS_UNIT, of_others])
        return distortion, [realistic.lpips.detach().mean()]

    def _modules(self) -> list[nn.Module]:
        return [self.model] if self.realism is None else [self.model, self.realism.synthesis]

    def parameters(self) -> list[nn.Parameter]:
        """See `Objective.parameters`."""
        return [parameter for module in self._modules() for parameter in module.parameters()]

    @torch.no_grad()
    def validate(self) -> dict[str, Any]:
        """Measure the averaged weights on held-out crops, with latents rounded as the encoder rounds them.

        Returns the loss with squared error alone. Also returns, for a few qualities, bits per pixel, PSNR,
        the geometric mean of bits per pixel, the mean SSIMULACRA2 and, with a realism synthesis, its LPIPS.

        A curve of geometric means moves as each image's own curve does. One of arithmetic means also moves
        when bits go from one image to another.
        """
        points, total, lpips, eyes = [], 0.0, [], []
        x = self.validation_crops
        for at in points_of(self.average.module, x):
            if self.realism is not None:
                lpips.append(round(self.realism.validated(at, x), 4))
            eyes.append(round(at.ssimulacra2, 2))
            figures = at.loss.bpp.mean(), at.loss.psnr, math.exp(at.log_rate)
            points.append([round(float(value), 4) for value in figures])
            total += float(at.loss.total) / len(QUALITIES)
        found = {
            "validation_loss": round(total, 5),
            "validation_rd": points,
            "validation_ssimulacra2": eyes,
        }
        return found | ({"validation_lpips": lpips} if lpips else {})

    def state(self) -> dict[str, Any]:
        """See `Objective.state`."""
        return {
            "architecture": asdict(self.model.architecture),
            "totals": self.totals.record(),
            "distortion": {"eyes": self.settings.eyes, "coarse": self.settings.coarse},
            "model": self.model.state_dict(),
            "average": self.average.values,
            "average_steps": self.average.steps,
            **(self.realism.state() if self.realism is not None else {}),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            **self.randomness.state(),
        }

    def take_over(self, state: dict[str, Any]) -> None:
        """Go on with the weights and averages in a state, and with nothing else from it."""
        self.model.load_state_dict(state["model"])
        self.average.load(state["average"], state["average_steps"])
        if self.realism is not None:
            self.realism.take_over(state)

    def load(self, state: dict[str, Any]) -> None:
        """See `Objective.load`."""
        self.take_over(state)
        self.totals = Totals(**state["totals"])
        if self.realism is not None:
            self.realism.totals = Totals(**state["realism_totals"])
        load_states(self.optimizers, state["optimizers"])
        self.randomness.load(state, state["average_steps"])
