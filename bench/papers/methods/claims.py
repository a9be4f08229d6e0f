"""What Blau & Michaeli (2018) observe about methods in the plane, checked on ours: dominance, two judges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.papers.reproduction import Claim, Reproduction

# Measures with a reference: key, label, and the sign that makes smaller better.
WITH_REFERENCE = {
    "rmse": ("RMSE", 1),
    "ssim": ("SSIM", -1),
    "ms_ssim": ("MS-SSIM", -1),
    "vif": ("VIF", -1),
    "lpips_alex": ("features (LPIPS, AlexNet)", 1),
}
WITHOUT = "niqe"
# Differences of fewer standard errors count as none. They are paired over images and not corrected for how
# many there are.
_CLEAR = 2.0

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Plane:
    """One measure with a reference against the one without, for methods that were given the same.

    closeness, naturalness: for each method and image `[M, N]`, smaller is better.
    """

    group: str
    measure: str
    methods: tuple[str, ...]
    closeness: Values
    naturalness: Values

    def dominance(self) -> list[tuple[str, str]]:
        """Who dominates whom: better in both means (Blau & Michaeli 2018)."""
        close, natural = self.closeness.mean(1), self.naturalness.mean(1)
        pairs = np.argwhere((close[:, None] < close) & (natural[:, None] < natural))
        return [(self.methods[a], self.methods[b]) for a, b in pairs]

    def admissible(self) -> list[str]:
        """The methods that no other dominates."""
        beaten = {worse for _, worse in self.dominance()}
        return [method for method in self.methods if method not in beaten]

    def best_in_both(self) -> str | None:
        """The method with the least mean in both, if there is one: it fills the lower left."""
        closest, most_natural = (int(np.argmin(v.mean(1))) for v in (self.closeness, self.naturalness))
        return self.methods[closest] if closest == most_natural else None

    def contradictions(self) -> list[tuple[str, str]]:
        """Pairs in which the first is clearly closer and the second clearly more natural."""
        numbers = range(len(self.methods))
        return [
            (self.methods[a], self.methods[b])
            for a in numbers
            for b in numbers
            if clearly_less(self.closeness[a], self.closeness[b])
            and clearly_less(self.naturalness[b], self.naturalness[a])
        ]


def clearly_less(first: Values, second: Values) -> bool:
    """Whether the first is less in the mean over images `[N]` by two standard errors of the difference."""
    gaps = second - first
    return bool(gaps.mean() > _CLEAR * gaps.std(ddof=1) / len(gaps) ** 0.5)


def planes(images: dict[str, dict[str, Any]]) -> list[Plane]:
    """All planes. images: by name, what `measured_image` returns."""
    methods = next(iter(images.values()))["methods"]
    grouped: dict[str, list[str]] = {}
    for name in methods:
        group, _, method = name.partition("/")
        grouped.setdefault(group, []).append(method)

    def of(group: str, measure: str, sign: int) -> Values:
        rows = [
            [sign * image["methods"][f"{group}/{method}"][measure] for image in images.values()]
            for method in grouped[group]
        ]
        return np.array(rows)

    return [
        Plane(group, measure, tuple(names), of(group, measure, sign), of(group, WITHOUT, 1))
        for group, names in grouped.items()
        for measure, (_, sign) in WITH_REFERENCE.items()
    ]


def reproduction(images: dict[str, dict[str, Any]]) -> Reproduction:
    """Claims, and as curves the planes with their dominance. images: as for `planes`, two or more."""
    drawn = planes(images)
    claims = [_nobody_in_the_lower_left(drawn), _both_judges_are_needed(drawn)]
    curves = {
        "images": images,
        "planes": [
            {
                "group": plane.group,
                "measure": plane.measure,
                "methods": plane.methods,
                "dominance": plane.dominance(),
                "admissible": plane.admissible(),
                "best in both": plane.best_in_both(),
                "contradictions": plane.contradictions(),
            }
            for plane in drawn
        ],
    }
    return Reproduction(curves, claims)


def _nobody_in_the_lower_left(drawn: list[Plane]) -> Claim:
    """By means, as the paper draws them."""
    filled = [plane for plane in drawn if plane.best_in_both()]
    named = "; ".join(
        f"{plane.best_in_both()} in {WITH_REFERENCE[plane.measure][0]} ({plane.group})" for plane in filled
    )
    return Claim(
        "no method is in the lower left corner, best with and without a reference",
        "none",
        f"none in {len(drawn) - len(filled)} of {len(drawn)} planes" + (f"; but {named}" if named else ""),
        not filled,
    )


def _both_judges_are_needed(drawn: list[Plane]) -> Claim:
    found = []
    for measure, (label, _) in WITH_REFERENCE.items():
        count = sum(len(plane.contradictions()) for plane in drawn if plane.measure == measure)
        found.append((label, count))
    pairs = sum(len(plane.methods) * (len(plane.methods) - 1) // 2 for plane in drawn) // len(WITH_REFERENCE)
    return Claim(
        "scores with and without a reference must stand together: each pair of them orders some methods "
        "the other way round",
        "some, for every measure",
        f"clearly opposed of {pairs} pairs: {', '.join(f'{label} {count}' for label, count in found)}",
        all(count > 0 for _, count in found),
    )
