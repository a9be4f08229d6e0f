"""What Liu, Zhang & Xiong (2019) claim of restored images, checked on ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.papers.reproduction import Claim, Reproduction
from bench.papers.wgan.measure import Values

# Distortions and Wasserstein distances closer than this count as equal, error rates closer than two standard
# errors: ours, as the paper draws curves and gives no number.
_EQUAL = 1.005


@dataclass(frozen=True)
class _Quantity:
    """One of the three, for all restorers of a group; what is beyond `equal` is worse than the best."""

    name: str
    values: Values
    equal: float

    @classmethod
    def errors(cls, values: Values, images: int) -> _Quantity:
        least = float(values.min())
        return cls("errors", values, least + 2 * (least * (1 - least) / images) ** 0.5)

    @classmethod
    def distance(cls, name: str, values: Values) -> _Quantity:
        return cls(name, values, _EQUAL * float(values.min()))

    @property
    def best(self) -> int:
        """The restorer in which it is least."""
        return int(np.argmin(self.values))

    def at(self, other: _Quantity) -> str:
        """How many times the least of it there is where the other one is least."""
        return f"{self.name} ×{self.values[other.best] / self.values.min():.2f}"

    def suffers(self, other: _Quantity) -> bool:
        """Whether it is worse than it could be where the other one is least."""
        return bool(self.values[other.best] > self.equal)


def reproduction(result: dict[str, Any]) -> Reproduction:
    """Claims and curves of one task. result: as `experiments.run` returns it."""
    claims: list[Claim] = []
    for design, group in result["groups"].items():
        claims += _claims(design, group, result["error of originals"], result["test pictures"])
    return Reproduction(result, claims)


def _claims(design: str, group: dict[str, Any], originals: dict[str, float], images: int) -> list[Claim]:
    mse = _Quantity.distance("MSE", np.array(group["mse"]))
    perception = _Quantity.distance("W₁", np.array(group["wasserstein"]))
    errors = _Quantity.errors(np.array(group[f"error {design}"]), images)
    (other,) = (name for name in originals if name != design)
    plain = np.array(group["weights"]) == 0
    asked = errors.values[plain]
    elsewhere = _Quantity.errors(np.array(group[f"error {other}"])[plain], images)
    where = "; ".join(
        f"least {quantity.name} at λ = {group['weights'][quantity.best]:g}, "
        f"μ = {group['cross'][quantity.best]:g}"
        for quantity in (mse, perception, errors)
    )
    return [
        Claim(
            f"no restorer is best in distortion, perception and errors at once ({design} classifier)",
            "not all three",
            where,
            len({quantity.best for quantity in (mse, perception, errors)}) > 1,
        ),
        _trade_off("errors and distortion", design, errors, mse),
        _trade_off("distortion and perception", design, mse, perception),
        _trade_off("errors and perception", design, errors, perception),
        Claim(
            f"what the {design} classifier asks for also helps the {other} one (ours)",
            "–",
            f"λ = 0: errors {elsewhere.values[0]:.1%} to {elsewhere.values.min():.1%}; with the one that "
            f"asked {asked[0]:.1%} to {asked.min():.1%}; originals {originals[other]:.1%} and "
            f"{originals[design]:.1%}",
            elsewhere.values[0] > elsewhere.equal,
        ),
    ]


def _trade_off(claim: str, design: str, first: _Quantity, second: _Quantity) -> Claim:
    return Claim(
        f"{claim} cannot both be least ({design} classifier)",
        "a trade-off",
        f"{first.at(second)} where {second.name} least; {second.at(first)} where {first.name} least",
        first.suffers(second) and second.suffers(first),
    )
