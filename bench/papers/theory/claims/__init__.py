"""What the three papers claim, computed and checked: one module for each paper."""

from __future__ import annotations

from collections.abc import Callable

from bench.papers.reproduction import Reproduction
from bench.papers.theory.claims import classification, perception_distortion, rate_distortion_perception

REPRODUCTIONS: dict[str, Callable[[], Reproduction]] = {
    "perception_distortion": perception_distortion.reproduction,
    "rate_distortion_perception": rate_distortion_perception.reproduction,
    "classification": classification.reproduction,
}
