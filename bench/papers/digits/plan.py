"""What the experiments on digits train: rates, weights of perception, sizes of networks, lengths, seeds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from bench.papers.digits.codec import Bottleneck
from bench.papers.wgan.critic import SMALL, CriticSize
from bench.papers.wgan.run import TrainingPlan


@dataclass(frozen=True, kw_only=True)
class Plan(TrainingPlan):
    """What is trained. some_…: for the experiments beside the grid of all pairs. hidden: width of layers."""

    bottlenecks: tuple[Bottleneck, ...]
    some_bottlenecks: tuple[Bottleneck, ...]
    some_weights: tuple[float, ...]
    hidden: int


_FOUR_LEVELS = {2 * dimension: Bottleneck(dimension, 4) for dimension in (1, 2, 3, 4, 6, 8, 12)}
_SOME = tuple(_FOUR_LEVELS[bits] for bits in (4, 8, 16))
# 7 rates of 2 to 24 bits and 14 weights: 98 pairs, as many as in the paper. λ = 2δ/784 balances squared error
# and perception at a displacement of δ; beyond 0.015, where Zhang et al. (2021) end, pairs only get worse.
FULL = Plan(
    bottlenecks=tuple(_FOUR_LEVELS.values()),
    weights=(0, *np.geomspace(0.001, 0.015, 13).round(5).tolist()),
    some_bottlenecks=_SOME,
    some_weights=(0, 0.002, 0.004, 0.007, 0.011, 0.015),
    hidden=256,
    critic=CriticSize(),
    steps=6000,
    judges=2000,
    classifier_steps=3000,
)
# The same grid for the cores of a processor: critics with a fiftieth of the work, a quarter of the steps, and
# half the bits. Judged by such critics, W₁ of seven denoisers (0.29 to 1.82) is the same within 0.008. Codecs
# that learn from them for 150 steps have the same W₁ (2.3 to 4.2) within 0.05; with another seed, it is the
# same within 0.14.
CORES = replace(FULL, critic=SMALL, steps=1500, judges=800, classifier_steps=1500, precision=torch.bfloat16)
# 12 pairs in minutes.
QUICK = replace(
    CORES,
    bottlenecks=_SOME,
    weights=(0, 0.004, 0.008, 0.015),
    some_bottlenecks=(_FOUR_LEVELS[8],),
    some_weights=(0, 0.004, 0.015),
    steps=300,
    judges=300,
    classifier_steps=400,
    seeds=(0,),
)
GRIDS = {"full": FULL, "cores": CORES, "quick": QUICK}
