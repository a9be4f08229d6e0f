"""The operating point that meets a target: bits per pixel, file size, PSNR, MS-SSIM or LPIPS.

`Target` says what is wanted, `search` finds the quality by measuring a few. Neither knows the codec: what is
measured is a function of the quality, so that the search can be tested on any.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from rdpcodec.container import QUALITY_UNITS
from rdpcodec.errors import UsageError

MAX_ENCODES = 8
# Of the cost: how far under its bound a result may stay. In PSNR that is 0.043 dB.
TOLERANCE = 0.01
# Aiming at the bound itself would land over it every other time.
_AIM = -TOLERANCE / 4
# By how much the logarithm of a cost changes from one quality to the next, on photographs: 0.02 to 0.055, for
# bytes and for errors. It places the second trial; from then on the image's own slope is known.
_SLOPE = 0.035
# Where so many trials lie on one side of the target, the next step goes twice as far, to get to the other
# side; if that is not enough, to the end of the dial.
_ONE_SIDED = 4
# Of the target: costs below count as this, since an error of zero has no logarithm.
_LEAST = 0.01
_SIZE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(?:([kmg])(i?))?b?", re.IGNORECASE)


class _Kind(NamedTuple):
    unit: str
    decimals: int
    bounds: tuple[float, float]  # of sensible targets, exclusive
    cost: Callable[[float], float]  # a target is an upper bound of it
    rises: bool  # the cost, with quality


_KINDS = {
    "bpp": _Kind("bits per pixel", 4, (0, math.inf), lambda bpp: bpp, True),
    "size": _Kind("bytes", 0, (0, math.inf), lambda size: size, True),
    "psnr": _Kind("dB PSNR", 2, (0, 100), lambda psnr: 10 ** (-psnr / 10), False),
    "ms_ssim": _Kind("MS-SSIM", 4, (0, 1), lambda ms_ssim: 1 - ms_ssim, False),
    "lpips": _Kind("LPIPS", 4, (0, math.inf), lambda lpips: lpips, False),
}


@dataclass(frozen=True)
class Target:
    """What a file is to meet. Made by `Target.bpp`, `.size`, `.psnr`, `.ms_ssim` or `.lpips`, which raise
    `UsageError` for values that no file can have.

    Every target bounds a cost from above: a file's bytes, its mean squared error, 1 - MS-SSIM, or its LPIPS.
    A file that meets it costs as much as the bound or up to 1 % less: it is never larger, and never worse,
    than was asked for.
    """

    kind: str
    value: float

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise UsageError(f"target {self.kind!r}: must be one of {', '.join(_KINDS)}")
        low, high = _KINDS[self.kind].bounds
        if not low < self.value < high:
            limits = f"over {low}" if high == math.inf else f"between {low} and {high}"
            raise UsageError(f"target {self}: must be {limits}")

    @classmethod
    def bpp(cls, value: float) -> Target:
        """At most so many bits of the whole file per pixel."""
        return cls("bpp", value)

    @classmethod
    def size(cls, value: int | str) -> Target:
        """At most so many bytes of the whole file: a number, or text such as "50kB", "1.5MB" and "64KiB"."""
        return cls("size", _parsed_size(value) if isinstance(value, str) else value)

    @classmethod
    def psnr(cls, value: float) -> Target:
        """At least so many dB, over the RGB channels together."""
        return cls("psnr", value)

    @classmethod
    def ms_ssim(cls, value: float) -> Target:
        """At least this MS-SSIM, mean over the RGB channels, between 0 and 1."""
        return cls("ms_ssim", value)

    @classmethod
    def lpips(cls, value: float) -> Target:
        """At most this LPIPS, of the AlexNet."""
        return cls("lpips", value)

    def __str__(self) -> str:
        return f"{self.value:.12g} {_KINDS[self.kind].unit}"

    @property
    def cost_rises(self) -> bool:
        """Whether the cost that the target bounds rises with quality, as bytes do, or falls, as errors do."""
        return _KINDS[self.kind].rises

    def excess(self, measured: float) -> float:
        """How far a measured value is over the target: the logarithm of the ratio of their costs, at most 0
        where the target is met. Raises `UsageError` where the measure is not a number.
        """
        if math.isnan(measured):
            raise UsageError(f"target {self}: not defined for an image as small as this one")
        cost = _KINDS[self.kind].cost
        return math.log(max(cost(measured) / cost(self.value), _LEAST))

    def range_of(self, first: float, last: float) -> str:
        """Measured values at both ends of the dial in words, rounded so that both can be had as a target."""
        kind = _KINDS[self.kind]
        unit = 10.0**-kind.decimals
        inside = (math.ceil, math.floor) if first < last else (math.floor, math.ceil)
        ends = [
            f"{end if math.isinf(end) else rounded(end / unit) * unit:.{kind.decimals}f}"
            for end, rounded in zip((first, last), inside, strict=True)
        ]
        return f"{' to '.join(ends)} {kind.unit}"


def _parsed_size(text: str) -> int:
    """A file size in bytes: kB, MB, GB are powers of 1000, KiB, MiB, GiB of 1024. Raises `UsageError`."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"size {text!r}: give bytes, or a number with kB, MB, GB, KiB, MiB or GiB")
    number, prefix, binary = match.groups()
    power = " kmg".index(prefix.lower()) if prefix else 0
    return int(Decimal(number) * (1024 if binary else 1000) ** power)


_FULL = 100 * QUALITY_UNITS


class _Trial(NamedTuple):
    step: int  # 0.._FULL, from the lowest cost to the highest, in the steps in which a file stores quality
    excess: float


def search(measure: Callable[[float], float], target: Target) -> float:
    """The quality, of at most `MAX_ENCODES` that are measured, that meets a target most closely.

    measure: a quality that a file can store → the value there, in the target's unit. The cost that the target
    bounds should go one way with quality, and its logarithm about linearly. Where it has jumps, or is flat
    between two qualities, the result may be more than 1 % under the bound, but never over it.

    Regula falsi on the logarithm of the cost, with the Illinois rule (Dowell & Jarratt 1971) against an end
    that never moves. Where the target lies outside the reachable range, raises `UsageError` that names it,
    after at most seven measurements.
    """
    measured: dict[float, float] = {}
    trials: list[_Trial] = []

    def quality_of(step: int) -> float:
        return (step if target.cost_rises else _FULL - step) / QUALITY_UNITS

    step: int | None = _FULL // 2
    while step is not None and len(trials) < MAX_ENCODES:
        quality = quality_of(step)
        measured[quality] = measure(quality)
        trials.append(_Trial(step, target.excess(measured[quality])))
        if -TOLERANCE <= trials[-1].excess <= 0:
            break
        if _out_of_reach(trials):
            for quality in {0.0, 100.0} - measured.keys():
                measured[quality] = measure(quality)
            reached = target.range_of(measured[0.0], measured[100.0])
            raise UsageError(f"target {target}: qualities 0 to 100 give this image {reached}")
        step = _next_step(trials)
    best = max((trial for trial in trials if trial.excess <= 0), key=lambda trial: trial.excess)
    return quality_of(best.step)


def _out_of_reach(trials: list[_Trial]) -> bool:
    """Whether an end of the dial was tried, and even there all costs are over, or all well under."""
    steps = {trial.step for trial in trials}
    over = [trial.excess > 0 for trial in trials]
    return (0 in steps and all(over)) or (_FULL in steps and not any(over))


def _next_step(trials: list[_Trial]) -> int | None:
    """The step to try next; none where the two sides of the target are neighbours."""
    last = trials[-1]
    over = min((t for t in trials if t.excess > 0), key=lambda t: t.step, default=None)
    under = max((t for t in trials if t.excess <= 0), key=lambda t: t.step, default=None)
    if over is None or under is None:
        if len(trials) > _ONE_SIDED:
            return _FULL if over is None else 0
        slope = _SLOPE / QUALITY_UNITS
        if len(trials) > 1:
            rise = (last.excess - trials[-2].excess) / (last.step - trials[-2].step)
            slope = min(max(rise, slope / 4), slope * 4)
        reach = (_AIM - last.excess) / slope * (2 if len(trials) == _ONE_SIDED else 1)
        return min(max(round(last.step + reach), 0), _FULL)
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
