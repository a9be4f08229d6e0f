"""The three papers: what is computed of each, and how it is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from bench.papers.reproduction import Reproduction
from bench.papers.theory import figures
from bench.papers.theory.claims import classification, perception_distortion, rate_distortion_perception


@dataclass(frozen=True)
class Paper:
    """A paper's theory. figures: by the names of their files, from the reproduction's curves."""

    title: str
    reproduction: Callable[[], Reproduction]
    figures: dict[str, Callable[[dict[str, Any]], Figure]]


# By the names of their records.
PAPERS = {
    "perception_distortion": Paper(
        "The Perception-Distortion Tradeoff",
        perception_distortion.reproduction,
        {"estimators": figures.estimators},
    ),
    "rate_distortion_perception": Paper(
        "The Rate-Distortion-Perception Tradeoff",
        rate_distortion_perception.reproduction,
        {"bernoulli": figures.bernoulli, "gaussian": figures.gaussian},
    ),
    "classification": Paper(
        "On the Classification-Distortion-Perception Tradeoff",
        classification.reproduction,
        {"linear_denoiser": figures.linear_denoiser, "tradeoffs": figures.classification_tradeoffs},
    ),
}
