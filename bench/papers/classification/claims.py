"""What Liu, Zhang & Xiong (2019) claim about restored images, checked on ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.papers.reproduction import Claim, Reproduction
from bench.papers.wgan.frontier import CLEAR_GAIN, CLEAR_PRICE
from bench.papers.wgan.measure import Values
from bench.papers.wgan.seeds import OverSeeds

# Error rates that differ by fewer standard errors of counting are equal; for distortions and distances see
# `frontier`. These numbers are ours, as the paper draws curves and gives none. The least of twenty equal
# rates lies 1.9 standard errors below their mean.
_CLEAR_ERRORS = 3.5


@dataclass(frozen=True)
class Quantity:
    """One of the three quantities, for all restorers of a group.

    values: `[S, M]`, a row for each seed, smaller is better; equal: a difference up to this counts as none,
    whatever the seeds say.
    """

    name: str
    values: Values
    equal: float

    @classmethod
    def errors(cls, name: str, values: Values, images: int) -> Quantity:
        """Error rates on this many test images."""
        least = float(values.mean(0).min())
        return cls(name, values, _CLEAR_ERRORS * (least * (1 - least) / images) ** 0.5)

    @classmethod
    def distortion(cls, name: str, values: Values) -> Quantity:
        """A distortion."""
        return cls(name, values, (CLEAR_PRICE - 1) * float(values.mean(0).min()))

    @classmethod
    def perception(cls, name: str, values: Values) -> Quantity:
        """A distance between distributions."""
        return cls(name, values, CLEAR_GAIN * float(values.mean(0).min()))

    @property
    def mean(self) -> Values:
        """The mean over seeds, `[M]`."""
        return np.asarray(self.values.mean(0))

    @property
    def best(self) -> int:
        """The restorer for which it is least."""
        return int(np.argmin(self.mean))

    def more(self, first: int, second: int) -> bool:
        """Whether it is clearly larger for the first restorer than for the second."""
        gap = OverSeeds(self.values[:, first] - self.values[:, second])
        return bool(gap.mean > self.equal and gap.clearly > 0)

    def at(self, other: Quantity) -> str:
        """Its value where the other quantity is least, as a multiple of its own least."""
        times = OverSeeds(self.values[:, other.best] / self.values[:, self.best])
        return f"{self.name} ×{times.text()}"

    def suffers(self, other: Quantity) -> bool:
        """Whether it is clearly worse than its best where the other quantity is least."""
        return self.more(other.best, self.best)


@dataclass(frozen=True)
class Grid:
    """All restorers of one classifier, over seeds. weights, cross: λ and μ, `[M]`."""

    design: str
    weights: Values
    cross: Values
    distortion: Quantity
    perception: Quantity
    sliced: Quantity
    errors: Quantity
    elsewhere: tuple[Quantity, ...]

    @classmethod
    def of(cls, result: dict[str, Any], design: str) -> Grid:
        """From a record of `experiments.measured_groups`."""
        groups = [group for group in result["groups"] if group["design"] == design]
        images = result["test images"]

        def over(name: str) -> Values:
            return np.array([group[name] for group in groups])

        return cls(
            design,
            np.array(groups[0]["weights"]),
            np.array(groups[0]["cross"]),
            Quantity.distortion("MSE", over("mse")),
            Quantity.perception("W₁", over("wasserstein")),
            Quantity.perception("sliced", over("sliced")),
            Quantity.errors("errors", over(f"error {design}"), images),
            tuple(
                Quantity.errors(other, over(f"error {other}"), images)
                for other in result["error of originals"]
                if other != design
            ),
        )

    def model(self, weight: float, cross: float) -> int:
        """The restorer of a pair (λ, μ)."""
        return int(np.flatnonzero((self.weights == weight) & (self.cross == cross))[0])

    def looks_better(self, first: int, second: int) -> bool:
        """Whether the second restorer's images look clearly better than the first's, by both measures."""
        return all(quantity.more(first, second) for quantity in (self.perception, self.sliced))


def designs_of(result: dict[str, Any]) -> list[str]:
    """The classifiers that restorers were trained with, in their order."""
    return list(dict.fromkeys(group["design"] for group in result["groups"]))


def reproduction(result: dict[str, Any]) -> Reproduction:
    """Claims and curves of one task. result: as `experiments.measured_groups` returns it."""
    claims: list[Claim] = []
    for design in designs_of(result):
        grid = Grid.of(result, design)
        claims += [
            _trade_off("errors and distortion", grid, grid.errors, grid.distortion),
            _trade_off("distortion and perception", grid, grid.distortion, grid.perception),
            _trade_off("errors and perception", grid, grid.errors, grid.perception),
            _more_perception_looks_better(grid),
            _more_classification_does_not(grid),
            _helps_others(grid, result["error of originals"]),
        ]
    return Reproduction(result, claims)


def _trade_off(claim: str, grid: Grid, first: Quantity, second: Quantity) -> Claim:
    """Read at the ends of the hull of the two."""
    return Claim(
        f"{claim} cannot both be least ({grid.design} classifier)",
        "a trade-off",
        f"{first.at(second)} where {second.name} least; {second.at(first)} where {first.name} least",
        first.suffers(second) and second.suffers(first),
    )


def _more_perception_looks_better(grid: Grid) -> Claim:
    """By both measures of perception, whatever the weight of classification."""
    most, columns = grid.weights.max(), np.unique(grid.cross)
    ends = [(grid.model(0, mu), grid.model(most, mu)) for mu in columns]
    better = [grid.looks_better(*pair) for pair in ends]
    first, last = ends[0]
    return Claim(
        f"a larger weight of perception makes images look better ({grid.design} classifier)",
        "better at every μ",
        f"W₁ and sliced distance fall at {sum(better)} of {len(better)} μ; at μ = 0 W₁ "
        f"{grid.perception.mean[first]:.2f} to {grid.perception.mean[last]:.2f}",
        all(better),
    )


def _more_classification_does_not(grid: Grid) -> Claim:
    """By both measures, at every μ above 0."""
    rows, columns = np.unique(grid.weights), np.unique(grid.cross)[1:]
    better = [
        grid.looks_better(grid.model(weight, 0), grid.model(weight, mu)) for weight in rows for mu in columns
    ]
    course = [grid.perception.mean[grid.model(0, mu)] for mu in (0, *columns)]
    return Claim(
        f"a larger weight of classification does not ({grid.design} classifier)",
        "better at no λ and μ",
        f"W₁ and sliced distance lower than at μ = 0 at {sum(better)} of {len(better)} pairs; at λ = 0 W₁ "
        f"{', '.join(f'{value:.2f}' for value in course)} as μ rises",
        not any(better),
    )


def _helps_others(grid: Grid, originals: dict[str, float]) -> Claim:
    """Without perception in the loss."""
    plain = np.flatnonzero(grid.weights == 0)
    start = int(plain[0])
    told, helped = [], []
    for other in grid.elsewhere:
        best = int(plain[np.argmin(other.mean[plain])])
        told.append(f"{other.name} {other.mean[start]:.1%} to {other.mean[best]:.1%}")
        helped.append(other.more(start, best))
    asked = grid.errors.mean[plain]
    return Claim(
        f"what the {grid.design} classifier asks for also helps the others",
        "fewer errors",
        f"λ = 0: errors of {'; '.join(told)}; its own {asked[0]:.1%} to {asked.min():.1%}, of originals "
        f"{originals[grid.design]:.1%}",
        all(helped),
        addition=True,
    )
