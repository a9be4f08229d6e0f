"""Training for fidelity: rate + λ·distortion over all qualities at once.

Distortion is squared error, or with `eyes` in part SSIMULACRA2. With `perception`, a share of it is that of
the realism synthesis, which then learns beside the fidelity synthesis: latents that serve both cost the
squared error next to nothing.

Several processes take crops of their own and average their gradients: N processes with batch B do what one
does with batch N·B.
"""

from __future__ import annotations

import copy
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from rdpcodec.errors import UsageError
from rdpcodec.metrics.eyes import ssimulacra2_distortion, ssimulacra2_score
from rdpcodec.metrics.perceptual import load_lpips
from rdpcodec.model.rdp_model import RdpModel, TrainingOutput
from rdpcodec.model.transforms import (
    SIZES,
    Architecture,
    Synthesis,
    haar_basis,
    start_from_basis,
)
from rdpcodec.tiles import PATCH
from rdpcodec.training.checkpoint import WeightAverage, load_realism_start, load_start, start_totals
from rdpcodec.training.cuda_graph import CudaGraphed
from rdpcodec.training.data import ImageSet, load_images, random_patches, to_device
from rdpcodec.training.graphics import graphics
from rdpcodec.training.loop import CHECKED, process_count
from rdpcodec.training.losses import perceptual_distortion, random_phase, rate_distortion_loss
from rdpcodec.training.optimizers import build_optimizers
from rdpcodec.training.randomness import Randomness
from rdpcodec.training.runs import FidelityRun
from rdpcodec.training.schedule import scale_learning_rates
from rdpcodec.training.totals import Totals

VALIDATION_QUALITIES = (5.0, 25.0, 45.0, 65.0, 85.0)
# One size for all runs, so that their validation losses can be compared.
VALIDATION_SIDE = 256
VALIDATION_CROPS = 24
GRADIENT_CLIP = 1.0
# Of a step, for the log; the last only with a realism synthesis.
FIGURES = ("loss", "gradient_norm", "bpp", "psnr", "lpips")
# Made graphics are drawn once, when a run begins: enough that ten thousand crops of them differ.
GRAPHICS_IMAGES = 256
GRAPHICS_SIDE = 384
# Enough to order 768 variances; more would exchange a few of the last rows that are kept.
BASIS_PATCHES = 40_000


# What a run may train, and the parts of `RdpModel` that are frozen then. The decoder is all that bitstream
# and image depend on.
FROZEN: dict[str, tuple[str, ...]] = {
    "everything": (),
    "decoder": ("analysis", "hyper_analysis"),
    "synthesis": (
        "analysis",
        "hyper_analysis",
        "hyper_prior",
        "scale_network",
        "mean_network",
        "residual_density",
    ),
}


class Decoded(NamedTuple):
    """What a batch becomes: of the fidelity synthesis with its rate, and of the realism synthesis, if there
    is one, `[B, 3, H, W]`.
    """

    output: TrainingOutput
    realistic: Tensor | None


class Decoders(nn.Module):
    """The model and, beside its own synthesis, the realism synthesis on the same latents."""

    def __init__(self, model: RdpModel, realism: Synthesis | None) -> None:
        super().__init__()
        self.model, self.realism = model, realism

    def forward(self, x: Tensor, quality: Tensor, *, by_rate: bool) -> Decoded:
        """See `RdpModel.forward`."""
        output = self.model(x, quality, by_rate=by_rate)
        realistic = None if self.realism is None else self.realism(output.rounded, quality).float()
        return Decoded(output, realistic)


def make_optimizers(model: RdpModel, run: FidelityRun) -> list[torch.optim.Optimizer]:
    """The run's optimisers."""
    densities = [*model.hyper_prior.parameters(), *model.residual_density.parameters()]
    return build_optimizers(model, run.learning_rate, densities)


class Fidelity:
    """The objective of a fidelity run: model, optimisers, averaged weights and images."""

    def __init__(
        self,
        run: FidelityRun,
        data: Path,
        device: torch.device,
        *,
        init: Path | None = None,
        previous: Path | None = None,
        lpips: Path | None = None,
        architecture: Architecture | None = None,
        compile_model: bool = False,
    ) -> None:
        """Load the images below `data` and the starting weights: `init`, or a Haar transform.

        architecture: of `init`, where that is a file without a manifest, and of a new model, in place of the
        run's size.
        With `run.perception`: lpips: where LPIPS-squeeze is, see `load_lpips`; previous: weights whose
        realism synthesis is carried over where `init` has none. Raises `UsageError`.
        """
        self.run, self.device = run, device
        self.settings = asdict(run)
        self.pixels_a_step = process_count() * run.batch * run.crop**2
        self.randomness = Randomness(run.seed)
        self.training, self.validation = load_images(data, max(run.crop, VALIDATION_SIDE), device)
        self.drawn: ImageSet | None = None
        if run.graphics:
            side = max(run.crop, GRAPHICS_SIDE)
            self.drawn = ImageSet(graphics(GRAPHICS_IMAGES, side, run.seed), device)
        self.totals = start_totals(init) if init else Totals()
        start = None
        if init is not None:
            start = load_start(init, architecture)
            if run.size and start.architecture != SIZES[run.size]:
                raise UsageError(f"{init}: these weights are not of size {run.size!r}: leave --size out")
            self.model = start.to(device)
        else:
            self.model = RdpModel(architecture or SIZES[run.size or "fast"]).to(device)
            patches = random_patches(self.training, BASIS_PATCHES, PATCH, self.randomness.generator)
            mean, basis = haar_basis(patches.cpu().double().numpy(), self.model.architecture.latents)
            start_from_basis(self.model.analysis, self.model.synthesis, mean, basis)
        for part in FROZEN[run.trains]:
            self.model.get_submodule(part).requires_grad_(False)
        self.optimizers = make_optimizers(self.model, run)
        self.average = WeightAverage(self.model, decay=0.999)
        self.realism: Synthesis | None = None
        if run.perception:
            self._add_realism(init, start, previous, lpips)
        self.randomness.seed_per_rank()
        module: nn.Module = Decoders(self.model, self.realism)
        if dist.is_initialized():
            module = DistributedDataParallel(module)
        self.forward = module
        self.loss = torch.compile(self._loss) if compile_model else self._loss
        alone_on_gpu = device.type == "cuda" and not dist.is_initialized()
        self.gradients = CudaGraphed(self._gradients) if alone_on_gpu else self._gradients
        held_out = torch.Generator().manual_seed(1)
        self.validation_crops = self.validation.crops(VALIDATION_CROPS, VALIDATION_SIDE, held_out)

    def _add_realism(
        self, init: Path | None, start: RdpModel | None, previous: Path | None, lpips: Path | None
    ) -> None:
        """With `init`, `start` is the model that stands in it."""
        if init is None or start is None:
            self.realism = copy.deepcopy(self.model.synthesis)
            self.realism_totals = Totals()
        else:
            self.realism = load_realism_start(init, start, previous).to(self.device)
            self.realism_totals = start_totals(previous or init, realism=True)
        self.optimizers += build_optimizers(self.realism, self.run.learning_rate)
        self.realism_average = WeightAverage(self.realism, decay=0.999)
        self.lpips = load_lpips("squeeze", lpips).to(self.device)

    def batch(self) -> tuple[Tensor, ...]:
        """Fresh crops `[B, 3, H, W]` and as many qualities, uniform over the dial."""
        generator = self.randomness.generator
        x = self.training.crops(self.run.batch, self.run.crop, generator)
        if self.drawn is not None:
            which = (torch.rand(self.run.batch, generator=generator) < self.run.graphics).nonzero()[:, 0]
            if len(which):
                x[to_device(which, self.device)] = self.drawn.crops(len(which), self.run.crop, generator)
        quality = torch.rand(self.run.batch, generator=generator) * 100
        return x.contiguous(memory_format=torch.channels_last), to_device(quality, self.device)

    def train_step(self, factor: float, progress: float = 0.0) -> dict[str, float]:
        inputs = self.batch()
        if self.realism is not None:
            inputs += (random_phase(self.randomness.generator, self.device),)
        figures = dict(zip(FIGURES, self.gradients(*inputs).tolist(), strict=False))
        if all(math.isfinite(figures[name]) for name in CHECKED):
            for optimizer in self.optimizers:
                scale_learning_rates(optimizer, factor)
                optimizer.step()
            self.average.update_parameters(self.model)
            if self.realism is not None:
                self.realism_average.update_parameters(self.realism)
        return figures

    def _gradients(self, x: Tensor, quality: Tensor, phase: Tensor | None = None) -> Tensor:
        """Leave the clipped gradient with the parameters; returns `FIGURES`."""
        for parameter in self.parameters():
            parameter.grad = None
        total, figures = self.loss(x, quality, phase)
        total.backward()
        norms = [
            nn.utils.clip_grad_norm_(module.parameters(), GRADIENT_CLIP, foreach=True)
            for module in self._modules()
        ]
        return torch.stack([total.detach(), torch.stack(norms).norm(), *figures])

    def _loss(self, x: Tensor, quality: Tensor, phase: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """What is minimised, and the remaining `FIGURES`."""
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.run.bfloat16):
            decoded = self.forward(x, quality, by_rate=self.run.by_rate)
        perceptual, figures = None, []
        if phase is not None:
            realistic = perceptual_distortion(
                self.lpips, decoded.realistic, x, phase, bfloat16=self.run.bfloat16
            )
            perceptual = realistic.total
            figures = [realistic.lpips.detach().mean()]
        eyes = ssimulacra2_distortion(x, decoded.output.reconstruction) if self.run.eyes else None
        loss = rate_distortion_loss(
            decoded.output, x, quality, perceptual, self.run.perception, eyes=eyes, eyes_share=self.run.eyes
        )
        return loss.total, [loss.bpp.detach().mean(), loss.psnr.detach(), *figures]

    def _modules(self) -> list[nn.Module]:
        return [module for module in (self.model, self.realism) if module is not None]

    def parameters(self) -> list[nn.Parameter]:
        return [parameter for module in self._modules() for parameter in module.parameters()]

    @torch.no_grad()
    def validate(self) -> dict[str, Any]:
        """Loss with squared error alone, and bits per pixel, PSNR, the geometric mean of bits per pixel and
        the mean SSIMULACRA2 at a few qualities, of the averaged weights on held-out crops, whose latents are
        rounded as the encoder rounds them; LPIPS of the realism synthesis.

        A curve of geometric means moves as each image's own curve does. One of arithmetic means also moves
        when bits go from one image to another.
        """
        model, realism = self.average.module, None if self.realism is None else self.realism_average.module
        points, total, lpips, eyes = [], 0.0, [], []
        x = self.validation_crops
        for quality in VALIDATION_QUALITIES:
            q = torch.full((len(x),), quality, device=self.device)
            output = model(x, q, by_rate=True)
            loss = rate_distortion_loss(output, x, q)
            if realism is not None:
                realistic = realism(output.rounded, q).clamp(0, 1)
                lpips.append(round(float(self.lpips(realistic, x).mean()), 4))
            judged = ssimulacra2_distortion(x, output.reconstruction.clamp(0, 1))
            eyes.append(round(float(ssimulacra2_score(judged).mean()), 2))
            typical = loss.bpp.log().mean().exp()
            points.append([round(float(value), 4) for value in (loss.bpp.mean(), loss.psnr, typical)])
            total += float(loss.total) / len(VALIDATION_QUALITIES)
        figures = {
            "validation_loss": round(total, 5),
            "validation_rd": points,
            "validation_ssimulacra2": eyes,
        }
        return figures | ({"validation_lpips": lpips} if lpips else {})

    def state(self) -> dict[str, Any]:
        realism = {}
        if self.realism is not None:
            realism = {
                "realism_totals": self.realism_totals.record(),
                "realism_synthesis": self.realism.state_dict(),
                "realism_average": self.realism_average.values,
            }
        return {
            "architecture": asdict(self.model.architecture),
            "totals": self.totals.record(),
            "model": self.model.state_dict(),
            "average": self.average.values,
            "average_steps": self.average.steps,
            **realism,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            **self.randomness.state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        self.totals = Totals(**state["totals"])
        self.model.load_state_dict(state["model"])
        self.average.load(state["average"], state["average_steps"])
        if self.realism is not None:
            self.realism_totals = Totals(**state["realism_totals"])
            self.realism.load_state_dict(state["realism_synthesis"])
            self.realism_average.load(state["realism_average"], state["average_steps"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.randomness.load(state, state["average_steps"])
