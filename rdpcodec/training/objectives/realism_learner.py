"""The realism synthesis that learns beside the fidelity synthesis, from a share of its crops."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rdpcodec.metrics.lpips import Lpips
from rdpcodec.model.transforms import Synthesis
from rdpcodec.training.checkpoints.totals import Totals
from rdpcodec.training.descent.average import WeightAverage
from rdpcodec.training.descent.optimizers import build_optimizers
from rdpcodec.training.images.validation import Point
from rdpcodec.training.objectives.losses import PerceptualDistortion, perceptual_distortion
from rdpcodec.training.settings import FidelitySettings


class RealismLearner:
    """The synthesis, its averaged weights and optimizers, and the network that judges its images."""

    def __init__(
        self, settings: FidelitySettings, synthesis: Synthesis, totals: Totals, lpips: Lpips
    ) -> None:
        """totals: the training behind the synthesis when the run begins."""
        self.settings, self.synthesis, self.totals, self.lpips = settings, synthesis, totals, lpips
        self.average = WeightAverage(synthesis)
        self.optimizers = build_optimizers(synthesis, settings.learning_rate)

    def update_average(self) -> None:
        """Average the weights, after a step."""
        self.average.update_parameters(self.synthesis)

    def distortion(self, decoded: Tensor, x: Tensor, phase: Tensor) -> PerceptualDistortion:
        """See `perceptual_distortion`."""
        return perceptual_distortion(self.lpips, self.settings, decoded, x, phase)

    @torch.no_grad()
    def validated(self, at: Point, x: Tensor) -> float:
        """LPIPS of what the averaged weights make of held-out crops `[B, 3, H, W]`."""
        realistic = self.average.module(at.output.rounded, at.quality).clamp(0, 1)
        return float(self.lpips(realistic, x).mean())

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, without the optimizers."""
        return {
            "realism_totals": self.totals.record(),
            "realism_synthesis": self.synthesis.state_dict(),
            "realism_average": self.average.values,
        }

    def take_over(self, state: dict[str, Any]) -> None:
        """Go on with the weights and averages in a state, and with nothing else from it."""
        self.synthesis.load_state_dict(state["realism_synthesis"])
        self.average.load(state["realism_average"], state["average_steps"])
