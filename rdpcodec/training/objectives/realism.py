"""Training for realism: a second synthesis whose images look like photographs, on a frozen encoder.

It starts from the fidelity synthesis and learns squared error and LPIPS first; then an adversary joins.
Encoder, prior and bitstream do not change: old files decode more realistically, and new ones are no larger.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rdpcodec.errors import UsageError
from rdpcodec.metrics.eyes import in_place_of
from rdpcodec.metrics.lpips import load_lpips
from rdpcodec.model.rate import LAMBDA_MIDDLE
from rdpcodec.quality import lambda_at
from rdpcodec.training.checkpoints.checkpoint import load_discriminator
from rdpcodec.training.checkpoints.start import load_start
from rdpcodec.training.checkpoints.totals import Totals
from rdpcodec.training.descent.average import WeightAverage
from rdpcodec.training.descent.optimizers import build_optimizers, clip_gradients, load_states, take_step
from rdpcodec.training.images.image_set import random_qualities
from rdpcodec.training.images.validation import QUALITIES, load_training_and_validation
from rdpcodec.training.loop import averaging_gradients, mean_over_processes
from rdpcodec.training.objectives.discriminator import ProjectedDiscriminator, feature_distortion
from rdpcodec.training.objectives.losses import autocast, perceptual_distortion, random_phase, shifted_crop
from rdpcodec.training.randomness import Randomness
from rdpcodec.training.settings import RealismSettings

# Squared error and LPIPS shrink alike as the rate grows, about as λ^-0.5. Without a weight, low rates would
# dominate training.
RATE_EXPONENT = 0.4
DISCRIMINATOR_RATE = 8e-4
DISCRIMINATOR_BETAS = (0.5, 0.9)
# The upper bound is HiFiC's weight of the adversary, the lower one a twentieth of it, near MS-ILLM's. At the
# start a discriminator knows nothing and its gradient is small: then the upper bound applies.
ADVERSARY_WEIGHTS = (0.008, 0.15)
# Decay of the running mean of the adversary's gradient norm: that of a single batch is mostly noise.
NORM_DECAY = 0.99


class Seen(NamedTuple):
    """The frozen features of a batch's originals, and those of its decoded images with their gradient."""

    originals: list[Tensor]
    decoded: list[Tensor]


class Batch(NamedTuple):
    """Originals x and decoded images, `[B, 3, H, W]`, and what the discriminator judges them by.

    condition: the rounded latents, rescaled to one step for all qualities, `[B, N, H/16, W/16]`. quality:
    `[B]`, 0..100. phase: see `random_phase`.
    """

    x: Tensor
    decoded: Tensor
    condition: Tensor
    quality: Tensor
    phase: Tensor


def _discriminator_optimizer(discriminator: nn.Module) -> torch.optim.Optimizer:
    trained = [p for p in discriminator.parameters() if p.requires_grad]
    return torch.optim.AdamW(trained, DISCRIMINATOR_RATE, DISCRIMINATOR_BETAS, weight_decay=0.0, foreach=True)


class Realism:
    """The objective of a realism run: frozen model, realism synthesis, discriminator and images."""

    def __init__(
        self,
        settings: RealismSettings,
        data: Path,
        device: torch.device,
        *,
        init: Path,
        previous: Path | None = None,
        lpips: Path | None = None,
        discriminator: Path | None = None,
    ) -> None:
        """Load the images below `data`, the weights to start from and the frozen networks.

        init: released weights; training starts from their realism synthesis if they have one, otherwise from
        what is carried over from `previous` weights of the same size, otherwise from the fidelity synthesis.
        lpips: where LPIPS-squeeze is, see `load_lpips`.
        discriminator: an earlier realism run's checkpoint, whose discriminator goes on learning; None for a
        new one.

        Raises `UsageError` when there are too few images, weights do not fit or cannot be read, or the
        packages of the discriminator's network are not installed.
        """
        self.settings, self.device = settings, device
        self.randomness = Randomness(settings.seed)
        start = load_start(init, previous)
        if start.bitstream is None:
            raise UsageError(f"{init}: a realism run starts from released weights: export these first")
        self.totals, self.bitstream = start.realism_totals, start.bitstream
        self.synthesis = start.realism_synthesis().to(device)
        self.model = start.model.to(device).eval().requires_grad_(False)
        self.discriminator = ProjectedDiscriminator(self.model.architecture.latents).to(device)
        if discriminator is not None:
            load_discriminator(discriminator, self.discriminator)
        self.lpips = load_lpips("squeeze", lpips).to(device)
        self.training, self.validation_crops = load_training_and_validation(data, settings.crop, device)
        self.discriminator_optimizer = _discriminator_optimizer(self.discriminator)
        self.synthesis_optimizers = build_optimizers(self.synthesis, settings.learning_rate)
        self.average = WeightAverage(self.synthesis)
        self.adversary_norm = 0.0
        self.randomness.seed_per_rank()
        self.decode = averaging_gradients(self.synthesis)
        self.judge = averaging_gradients(self.discriminator)

    def train_step(self, factor: float, progress: float) -> dict[str, float]:
        """Take a step; the loss in the figures is the weighted distortion, without the adversary."""
        batch = self._batch()
        adversarial = self.settings.adversary > 0 and progress >= self.settings.warmup
        gradient, seen, figures = self._image_gradient(batch, adversarial=adversarial)
        batch.decoded.backward(gradient)
        norm = self._update(self.synthesis_optimizers, self.synthesis, factor, figures["loss"])
        figures["gradient_norm"] = norm
        if adversarial:
            figures |= self._discriminate(batch, seen, factor)
        self.average.update_parameters(self.synthesis)
        return figures

    @property
    def optimizers(self) -> list[torch.optim.Optimizer]:
        """The optimizers of the synthesis, then the discriminator's."""
        return [*self.synthesis_optimizers, self.discriminator_optimizer]

    def parameters(self) -> list[nn.Parameter]:
        """See `Objective.parameters`."""
        return list(self.synthesis.parameters())

    def _batch(self) -> Batch:
        """Draw crops and qualities, and decode them."""
        generator = self.randomness.generator
        x = self.training.crops(self.settings.batch, self.settings.crop, generator)
        x = x.contiguous(memory_format=torch.channels_last)
        quality = random_qualities(self.settings.batch, self.settings.qualities, generator).to(self.device)
        with autocast(self.settings, self.device):
            with torch.no_grad():
                latents = self.model.analyse(x, quality, by_rate=True).rounded
            decoded = self.decode(latents, quality).float()
        condition = self.model.synthesis.gain(latents, quality)
        return Batch(x, decoded, condition, quality, random_phase(generator, self.device))

    def _image_gradient(self, batch: Batch, *, adversarial: bool) -> tuple[Tensor, Seen, dict[str, float]]:
        """Return the loss's gradient with respect to the decoded images, what the frozen network sees, and
        figures for the log.

        The gradient is weighted so that all images and rates count the same.
        """
        weight = (lambda_at(batch.quality) / LAMBDA_MIDDLE) ** RATE_EXPONENT / len(batch.x)
        decoded = batch.decoded.detach().requires_grad_()
        distortion = perceptual_distortion(self.lpips, self.settings, decoded, batch.x, batch.phase)
        total, seen = distortion.total, self._seen(batch, decoded, wanted=adversarial)
        if self.settings.features:
            felt = in_place_of(total, feature_distortion(*seen))
            total = (1 - self.settings.features) * total + self.settings.features * felt
        (gradient,) = torch.autograd.grad(total.sum(), decoded, retain_graph=adversarial)
        figures = {
            "loss": float((weight * total).sum().detach()),
            "psnr": float((-10 * distortion.mse.detach().log10()).mean()),
            "lpips": float(distortion.lpips.detach().mean()),
        }
        if adversarial:
            push, of_adversary = self._adversary(batch, decoded, seen, gradient)
            gradient, figures = gradient + push, figures | of_adversary
        return weight[:, None, None, None] * gradient, seen, figures

    def _seen(self, batch: Batch, decoded: Tensor, *, wanted: bool) -> Seen:
        """What the frozen network sees; nothing, if neither the adversary nor the distortion wants it."""
        if not (wanted or self.settings.features):
            return Seen([], [])
        with autocast(self.settings, self.device):
            with torch.no_grad():
                originals = self.discriminator.stages(shifted_crop(batch.x, batch.phase))
            return Seen(originals, self.discriminator.stages(shifted_crop(decoded, batch.phase)))

    def _adversary(
        self, batch: Batch, decoded: Tensor, seen: Seen, gradient: Tensor
    ) -> tuple[Tensor, dict[str, float]]:
        """Return the adversary's gradient with respect to the decoded images, and its figures.

        On every image it is `settings.adversary` times as strong as the distortion's `gradient`, as far as
        `ADVERSARY_WEIGHTS` allows.
        """
        with autocast(self.settings, self.device):
            logits = self.discriminator(seen.decoded, batch.condition, batch.quality).float()
        unreal = F.softplus(-logits).flatten(1).mean(1)
        (push,) = torch.autograd.grad(unreal.sum(), decoded)
        strength = self._adversary_strength(gradient, push)
        figures = {
            "adversary_weight": float(strength.mean()),
            "adversary_loss": float(unreal.detach().mean()),
        }
        return strength[:, None, None, None] * push, figures

    def _adversary_strength(self, gradient: Tensor, push: Tensor) -> Tensor:
        """Return how much of the adversary's gradient `push` to add to the distortion's per image, `[B]`.

        Both are `[B, 3, H, W]`.
        """
        norm = mean_over_processes(push.flatten(1).norm(dim=1).mean())
        decay = NORM_DECAY if self.adversary_norm else 0.0
        self.adversary_norm = decay * self.adversary_norm + (1 - decay) * float(norm)
        strength = self.settings.adversary * gradient.flatten(1).norm(dim=1) / self.adversary_norm
        return strength.clamp(*ADVERSARY_WEIGHTS)

    def _discriminate(self, batch: Batch, seen: Seen, factor: float) -> dict[str, float]:
        """Take one step of the discriminator and return its figures."""
        stages = [torch.cat([real, false.detach()]) for real, false in zip(*seen, strict=True)]
        condition, quality = torch.cat([batch.condition] * 2), torch.cat([batch.quality] * 2)
        with autocast(self.settings, self.device):
            logits = self.judge(stages, condition, quality).float()
        real, false = logits.chunk(2)
        loss = F.softplus(-real).mean() + F.softplus(false).mean()
        loss.backward()
        self._update([self.discriminator_optimizer], self.discriminator, factor, float(loss.detach()))
        right = ((real > 0).float().mean() + (false < 0).float().mean()) / 2
        return {"discriminator_loss": float(loss.detach()), "discriminator_right": float(right)}

    @staticmethod
    def _update(
        optimizers: list[torch.optim.Optimizer], module: nn.Module, factor: float, loss: float
    ) -> float:
        """Take a step if loss and gradient are finite, and return the gradient's norm."""
        norm = clip_gradients(module)
        if torch.isfinite(norm) and math.isfinite(loss):
            take_step(optimizers, factor)
        module.zero_grad(set_to_none=True)
        return float(norm)

    @torch.no_grad()
    def validate(self) -> dict[str, Any]:
        """Measure PSNR and LPIPS-squeeze of the averaged synthesis at a few qualities, on held-out crops."""
        synthesis = self.average.module
        points = []
        x = self.validation_crops
        for quality in QUALITIES:
            q = torch.full((len(x),), quality, device=self.device)
            decoded = synthesis(self.model.analyse(x, q, by_rate=True).rounded, q).clamp(0, 1)
            psnr = -10 * (decoded - x).square().mean((1, 2, 3)).log10()
            points.append([round(float(psnr.mean()), 3), round(float(self.lpips(decoded, x).mean()), 4)])
        return {"validation_psnr_lpips": points}

    def state(self) -> dict[str, Any]:
        """See `Objective.state`."""
        return {
            "architecture": asdict(self.model.architecture),
            "totals": self.totals.record(),
            "bitstream": self.bitstream,
            "realism": self.synthesis.state_dict(),
            "average": self.average.values,
            "average_steps": self.average.steps,
            "discriminator": self.discriminator.state_dict(),
            "adversary_norm": self.adversary_norm,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            **self.randomness.state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """See `Objective.load`."""
        if state["bitstream"] != self.bitstream:
            raise UsageError(
                f"the run was begun on weights {state['bitstream'][:8]}, --init has {self.bitstream[:8]}: "
                "give it what it was begun with"
            )
        self.totals = Totals(**state["totals"])
        self.synthesis.load_state_dict(state["realism"])
        self.discriminator.load_state_dict(state["discriminator"])
        self.average.load(state["average"], state["average_steps"])
        self.adversary_norm = state["adversary_norm"]
        load_states(self.optimizers, state["optimizers"])
        self.randomness.load(state, state["average_steps"])
