"""The quality and the realism that meet two targets at once: min R such that D ≤ d and P ≤ p.

Realism is a setting of the decoder, so the rate depends on quality alone. Each quality is therefore judged at
the realism that serves it best, and the search looks for the lowest quality that is good enough. As in
`target_search`, nothing here knows the codec.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from rdpcodec.encoder.target_search import closest, warn_if_easy, warn_if_far
from rdpcodec.errors import UsageError
from rdpcodec.format.container import REALISM_STEPS
from rdpcodec.targets import Bounds

_log = logging.getLogger(__name__)

# How many realisms are tried at one quality.
MAX_REALISMS = 6
# How closely the realism is found, in the steps in which a file stores it: 2 % of the range, which is 0.03 dB
# where realism 1 costs 1.8.
_NEAR = 5
# Under this, a target is met by so much that only the other one matters.
_FAR_UNDER = -3.0


class Measured(NamedTuple):
    """The values that the targets of `Bounds` are compared with, in their units."""

    distortion: float
    perception: float


Measure = Callable[[float, float], Measured]
"""(quality, realism) → the values of the decoded image."""


class _Choice(NamedTuple):
    excesses: tuple[float, float]  # of the target of distortion and of that of perception
    realism: float
    measured: Measured

    @property
    def excess(self) -> float:
        """That of the target which is exceeded more."""
        return max(self.excesses)


def search_both(measure: Measure, bounds: Bounds, *, has_realism: bool) -> tuple[float, float]:
    """The lowest quality, and a realism, at which the decoded image is closely within both bounds.

    measure: the decoded image's values, asked for at most `MAX_REALISMS` times per quality. has_realism:
    whether there is a realism to choose. Distortion should rise with realism; perception should fall, or fall
    and rise again. Raises `UsageError` when no quality meets both bounds, and says which bound fails and what
    can be had. Warns with `TargetWarning` when all qualities meet both, or when the image is far better than
    both ask for.
    """
    chosen: dict[float, _Choice] = {}

    def excess(quality: float) -> float:
        def choice(realism: float) -> _Choice:
            found = measure(quality, realism)
            excesses = bounds.distortion.excess(found.distortion), bounds.perception.excess(found.perception)
            return _Choice(excesses, realism, found)

        # The best realism changes little from one quality to the next.
        guess = next((one.realism for one in reversed(chosen.values()) if 0 < one.realism < 1), 0.5)
        chosen[quality] = found = _best(choice, guess) if has_realism else choice(0.0)
        text = bounds.text(*found.measured)
        _log.debug("target %s: quality %g gives %s at realism %.2g", bounds, quality, text, found.realism)
        return found.excess

    found = closest(excess, rises=False)
    if found.excess > 0:
        ends = [measure(found.quality, realism) for realism in ((0.0, 1.0) if has_realism else (0.0,))]
        raise UsageError(_refusal(bounds, found.quality, chosen[found.quality], ends))
    warn_if_easy(found, bounds, rises=False)
    warn_if_far(found, bounds, lambda quality: bounds.text(*chosen[quality].measured))
    return found.quality, chosen[found.quality].realism


def _best(choice: Callable[[float], _Choice], guess: float) -> _Choice:
    """The choice of least excess, of realisms that a file can store. guess: one to try beside 0 and 1.

    Both excesses are smooth, so polynomials through those tried say where the larger one is least. What is
    found there joins them, until it lies where one has been tried.
    """
    first = (0, round(guess * REALISM_STEPS), REALISM_STEPS)
    known = {step: choice(step / REALISM_STEPS) for step in first}
    realisms = np.arange(REALISM_STEPS + 1) / REALISM_STEPS
    while len(known) < MAX_REALISMS:
        excesses = np.maximum([one.excesses for one in known.values()], _FAR_UNDER)
        tried = [one.realism for one in known.values()]
        curves = np.polyfit(tried, excesses, len(known) - 1)
        expected = np.max([np.polyval(curve, realisms) for curve in curves.T], axis=0)
        step = int(expected.argmin())
        if min(abs(step - other) for other in known) < _NEAR:
            break
        known[step] = choice(step / REALISM_STEPS)
    return min(known.values(), key=lambda one: (one.excess, one.realism))


def _refusal(bounds: Bounds, quality: float, best: _Choice, ends: list[Measured]) -> str:
    """Which bound fails at the highest quality, and what can be had there."""
    distortion, perception = bounds.distortion, bounds.perception
    reachable = (
        any(distortion.excess(end.distortion) <= 0 for end in ends),
        any(perception.excess(end.perception) <= 0 for end in [*ends, best.measured]),
    )
    fails = {
        (False, False): f"neither of {bounds} can be had",
        (False, True): f"{distortion} cannot be had",
        (True, False): f"{perception} cannot be had",
        (True, True): f"{bounds} can be had, but not at one realism",
    }[reachable]
    known = dict(zip((0.0, 1.0), ends, strict=False)) | {best.realism: best.measured}
    had = [f"{bounds.text(d, p)} at realism {realism:.2g}" for realism, (d, p) in sorted(known.items())]
    return f"target {bounds}: {fails}; quality {quality:g} gives this image {', '.join(had)}"
