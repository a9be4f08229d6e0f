"""P(D) of the discrete source in every distance that the bench can solve for, and why each is convex."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.papers.reproduction import Claim
from bench.papers.theory import perception_distortion as pd
from bench.papers.theory.claims.falling_and_convex import SOLVER
from bench.papers.theory.perception import (
    Perception,
    chi_squared,
    jensen_shannon,
    kullback_leibler,
    renyi_of_order_half,
    renyi_of_order_two,
    squared_hellinger,
    total_variation,
)
from bench.papers.theory.shape import largest_concavity, largest_rise

_CSISZAR = "theorem: an f-divergence"
_ERVEN = "theorem: convex in its second argument (van Erven & Harremoës 2014)"
KANTOROVICH = "theorem: the value of a linear program"


@dataclass(frozen=True)
class Curve:
    """P(D) in one distance, both float arrays `[n]` on a uniform grid of D.

    why: the reason that it is convex, or "" if unknown.
    """

    label: str
    why: str
    distortion: np.ndarray
    perception: np.ndarray

    def record(self) -> dict[str, Any]:
        """The curve as results hold it."""
        return {
            "label": self.label,
            "why convex": self.why,
            "distortion": self.distortion,
            "perception": self.perception,
        }

    def claim(self) -> Claim:
        """The claim that it falls and is convex."""
        rise, excess = largest_rise(self.perception), largest_concavity(self.perception)
        return Claim(
            f"P(D) falls and is convex: {self.label}",
            self.why,
            f"largest rise {rise:.0e}, excess over a chord {excess:.0e}",
            max(rise, excess) < SOLVER,
        )


# By key of the record: label, why convex, what the program minimises. Outputs on the source's alphabet and
# the posterior mean suffice for all of these distances: they see what lies elsewhere only as mass.
_SOLVED: dict[str, tuple[str, str, Perception]] = {
    "total_variation": ("total variation", _CSISZAR, total_variation),
    "kl_nats": ("KL(p_X‖p_X̂)", _CSISZAR, kullback_leibler),
    "jensen_shannon_nats": ("Jensen-Shannon", _CSISZAR, jensen_shannon),
    "chi_squared": ("χ²(p_X‖p_X̂)", _CSISZAR, chi_squared),
    "squared_hellinger": ("squared Hellinger", _CSISZAR, squared_hellinger),
}
# A rising function of another distance is least where that is least, so its P(D) needs no program.
_DERIVED: dict[str, tuple[str, str, str, Callable[[np.ndarray], np.ndarray]]] = {
    "renyi_half_nats": ("Rényi of order ½", _ERVEN, "squared_hellinger", renyi_of_order_half),
    "renyi_two_nats": ("Rényi of order 2", _ERVEN, "chi_squared", renyi_of_order_two),
}


def curves(joint: np.ndarray, distortions: np.ndarray) -> dict[str, Curve]:
    """P(D) in every distance but Wasserstein-2, by key of the record.

    joint: P(X = x, Y in cell); distortions: from the cells' MMSE on. At the MMSE no mass lies on the source's
    alphabet, so all distances but total variation are infinite or their program has one feasible point. These
    begin one step later.
    """
    outputs = pd.outputs_on_support(joint)
    found = {}
    for key, (label, why, measure) in _SOLVED.items():
        at = distortions if key == "total_variation" else distortions[1:]
        found[key] = Curve(label, why, at, pd.perception_function(joint, outputs, measure, at))
    for key, (label, why, other, rising) in _DERIVED.items():
        of = found[other]
        found[key] = Curve(label, why, of.distortion, rising(np.maximum(of.perception, 0)))
    return found


def not_convex_without_the_condition(squared: Curve) -> Claim:
    """The claim on the Hellinger distance, the root of `squared`, which is convex in neither argument."""
    excess = largest_concavity(np.sqrt(np.maximum(squared.perception, 0)))
    return Claim(
        "the theorem needs its condition: in the Hellinger distance, a root, P(D) is not convex",
        "> 0",
        f"{excess:.4f} above a chord",
        excess > 1e-3,
        addition=True,
    )
