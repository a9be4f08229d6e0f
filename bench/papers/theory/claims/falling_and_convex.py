"""Claims that every paper makes of its function: that it falls, and that it is convex."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from bench.papers.reproduction import Claim
from bench.papers.theory.shape import largest_concavity, largest_rise

# The most that solvers leave of a value that is 0.
SOLVER = 1e-6


def falls(claim: str, functions: Iterable[np.ndarray], where: str = "") -> Claim:
    """The claim that functions fall along all their axes. where: said after our figure."""
    rise = max(largest_rise(values) for values in functions)
    return Claim(claim, "largest rise 0", f"{rise:.0e}{where}", rise < SOLVER)


def convex(claim: str, functions: Iterable[np.ndarray], where: str = "") -> Claim:
    """The claim that functions are convex. where: said after our figure."""
    concavity = max(largest_concavity(values) for values in functions)
    return Claim(claim, "largest excess over a chord 0", f"{concavity:.0e}{where}", concavity < SOLVER)
