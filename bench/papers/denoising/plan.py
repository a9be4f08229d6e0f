"""What the denoisers are trained for and how long, and the size of their estimators' prior."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from bench.papers.wgan.critic import SMALL, CriticSize
from bench.papers.wgan.run import TrainingPlan

# The points of the paper's figure, by λ of the loss MSE + λ · W₁; at ∞ squared error does not count.
POINTS = {"A": 0.0, "B": 0.005, "C": 0.02, "D": math.inf}


@dataclass(frozen=True, kw_only=True)
class Plan(TrainingPlan):
    """What is trained; the last of `weights` is ∞. prior: how many training images the estimators' prior has;
    critics that judge them see the others.
    """

    prior: int


FULL = Plan(
    weights=(0, 0.002, 0.005, 0.01, 0.02, 0.05, math.inf),
    prior=30_000,
    critic=CriticSize(),
    steps=6000,
    judges=2000,
    classifier_steps=3000,
)
CORES = replace(FULL, critic=SMALL, steps=1500, judges=800, classifier_steps=1500)
QUICK = replace(
    CORES,
    weights=tuple(POINTS.values()),
    prior=5000,
    steps=300,
    judges=200,
    classifier_steps=400,
    seeds=(0,),
)
GRIDS = {"full": FULL, "cores": CORES, "quick": QUICK}
