"""The quality that meets a target, found by measuring a few qualities.

The search does not know the codec: it measures a function of the quality, and can be tested on any.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from rdpcodec.errors import TargetWarning, UsageError, warn
from rdpcodec.format.container import QUALITY_STEPS, stored_quality
from rdpcodec.targets import Bounds, Target

_log = logging.getLogger(__name__)

MAX_ENCODES = 8
# How far a result's cost may stay under its bound, as a share. In PSNR that is 0.043 dB.
TOLERANCE = 0.01
# From here on, a result is so far under its bound that a user is told why.
FAR = 0.05
# Aiming at the bound itself would land over it every other time.
_AIM = -TOLERANCE / 4
# How much the logarithm of a cost changes from one quality to the next. On photographs it is 0.02 to 0.055,
# for bytes and for errors. It places the second trial; from then on the image's own slope is known.
_SLOPE = 0.035
# After this many trials on one side of the target, the next step goes twice as far, to reach the other side.
# If that is not enough, it goes to the end of the range.
_ONE_SIDED = 4


class _Trial(NamedTuple):
    step: int  # from 0, the lowest cost, up, in the steps in which a file stores quality
    excess: float


class Found(NamedTuple):
    """A quality, and the logarithm of the ratio of its cost to what the target allows: at most 0 where the
    target is met. Over 0, no quality meets it; under `-TOLERANCE`, at an end of the range, all do.
    `missed` is the quality closest to the target among those tried that do not meet it, if any.
    """

    quality: float
    excess: float
    missed: float | None


def search(measure: Callable[[float], float], target: Target) -> float:
    """The quality that meets a target most closely, of at most `MAX_ENCODES` that are measured.

    measure: a quality that a file can store → the value there, in the target's unit. `closest` says what it
    should be like. Raises `UsageError` when no quality meets the target, and names the reachable range, after
    at most seven measurements. When all qualities up to the target's highest meet it, takes the best file, or
    the smallest for a target of errors; where the highest is 100, it warns of this with `TargetWarning`. It
    also warns where the file is far from the target, because the measure jumps from one quality to the next.
    """
    measured: dict[float, float] = {}

    def excess(quality: float) -> float:
        measured[quality] = measure(quality)
        _log.debug("target %s: quality %g gives %s", target, quality, target.text(measured[quality]))
        return target.excess(measured[quality])

    highest = float(target.max_quality)
    found = closest(excess, rises=target.is_of_rate, highest=highest)
    if found.excess > 0:
        for quality in {0.0, highest} - measured.keys():
            measured[quality] = measure(quality)
        reached = target.range_of(measured[0.0], measured[highest])
        raise UsageError(f"target {target}: qualities 0 to {highest:g} give this image {reached}")
    warn_if_easy(found, target, rises=target.is_of_rate)
    warn_if_far(found, target, lambda quality: target.text(measured[quality]))
    return found.quality


def warn_if_easy(found: Found, target: Target | Bounds, *, rises: bool) -> None:
    """Warn with `TargetWarning` where the dearest quality meets a target with room to spare."""
    if found.quality == (100 if rises else 0) and found.excess < -TOLERANCE:
        chosen = "best" if rises else "smallest"
        message = (
            f"every quality meets the target {target}: the file is the {chosen}, of quality {found.quality:g}"
        )
        warn(message, TargetWarning)


def warn_if_far(found: Found, target: Target | Bounds, text: Callable[[float], str]) -> None:
    """Warn with `TargetWarning` where the best quality is far under its target, and another misses it.

    text: a measured quality → what was measured there, with its unit.
    """
    if found.missed is not None and found.excess < -FAR:
        message = (
            f"target {target}: the file has {text(found.quality)}, and the next quality tried misses the "
            f"target with {text(found.missed)}"
        )
        warn(message, TargetWarning)


def closest(excess: Callable[[float], float], *, rises: bool, highest: float = 100.0) -> Found:
    """The quality whose excess is closest to 0 from below, of at most `MAX_ENCODES` that are measured. Where
    none is below, or all are well below, an end of the range, after at most six measurements.

    excess: a quality that a file can store → the logarithm of its cost over what is allowed. The cost should
    be monotonic in quality, increasing if it `rises`, and its logarithm about linear. Where it jumps, or is
    flat between two qualities, the result may be more than 1 % under the bound, but never over it. highest:
    the highest quality to take, which is tried first if it is below 100.

    Regula falsi on the logarithm of the cost, with the Illinois rule (Dowell & Jarratt 1971) against an end
    that never moves.
    """
    trials: list[_Trial] = []
    full = stored_quality(highest)

    def quality_at(step: int) -> float:
        return (step if rises else full - step) / QUALITY_STEPS

    def found(trial: _Trial) -> Found:
        over = [other for other in trials if other.excess > 0]
        missed = quality_at(min(over, key=lambda other: other.excess).step) if over else None
        return Found(quality_at(trial.step), trial.excess, missed)

    step: int | None = full // 2 if highest == 100 else full
    while step is not None and len(trials) < MAX_ENCODES:
        trials.append(_Trial(step, excess(quality_at(step))))
        if -TOLERANCE <= trials[-1].excess <= 0:
            break
        if _out_of_reach(trials, full):
            return found(trials[-1])
        step = _next_step(trials, full)
    return found(max((trial for trial in trials if trial.excess <= 0), key=lambda trial: trial.excess))


def _out_of_reach(trials: list[_Trial], full: int) -> bool:
    """Whether all costs are over, the cheapest quality's among them; or none is, not even the dearest's."""
    steps = {trial.step for trial in trials}
    over = [trial.excess > 0 for trial in trials]
    return (0 in steps and all(over)) or (full in steps and not any(over))


def _next_step(trials: list[_Trial], full: int) -> int | None:
    """The step to try next, 0..full; `None` where the trials on both sides of the target are neighbours."""
    last = trials[-1]
    over = min((t for t in trials if t.excess > 0), key=lambda t: t.step, default=None)
    under = max((t for t in trials if t.excess <= 0), key=lambda t: t.step, default=None)
    if over is None or under is None:
        if len(trials) > _ONE_SIDED:
            return full if over is None else 0
        slope = _SLOPE / QUALITY_STEPS
        if len(trials) > 1:
            rise = (last.excess - trials[-2].excess) / (last.step - trials[-2].step)
            slope = min(max(rise, slope / 4), slope * 4)
        reach = (_AIM - last.excess) / slope * (2 if len(trials) == _ONE_SIDED else 1)
        return min(max(round(last.step + reach), 0), full)
    if over.step - under.step <= 1:  # or they overlap, by a jump that goes the wrong way
        return None
    low, high = under.excess - _AIM, over.excess - _AIM
    # The Illinois rule: an end that stays while the other moves again and again counts half, a quarter, …
    for trial in trials[-2::-1]:
        if (trial.excess > 0) != (last.excess > 0):
            break
        low, high = (low / 2, high) if last is over else (low, high / 2)
    step = under.step + round((over.step - under.step) * low / (low - high))
    return min(max(step, under.step + 1), over.step - 1)
