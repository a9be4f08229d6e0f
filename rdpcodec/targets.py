"""What a file must meet in place of a quality: a target, or one on distortion and one on perception.

A target bounds bytes, bits per pixel, PSNR, MS-SSIM, SSIMULACRA2 or LPIPS.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import Literal, NamedTuple

from rdpcodec.errors import UsageError

# As a share of the target's cost: lower costs count as this, since an error of zero has no logarithm.
_LEAST = 0.01
_SIZE = re.compile(r"(\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})\s*(?:([kmg])(i?))?b?", re.IGNORECASE)


class _Kind(NamedTuple):
    role: Literal["rate", "distortion", "perception"]
    unit: str
    decimals: int
    bounds: tuple[float, float]  # of sensible targets, exclusive
    cost: Callable[[float], float]  # bounded from above by a target


_RATES = (1e-9, 1e30)  # their logarithms are finite, and no file is outside
_KINDS = {
    "bpp": _Kind("rate", "bits per pixel", 4, _RATES, lambda bpp: bpp),
    "size": _Kind("rate", "bytes", 0, _RATES, lambda size: size),
    "psnr": _Kind("distortion", "dB PSNR", 2, (0, 100), lambda psnr: 10 ** (-psnr / 10)),
    "ms_ssim": _Kind("distortion", "MS-SSIM", 4, (0, 1), lambda ms_ssim: 1 - ms_ssim),
    "ssimulacra2": _Kind("distortion", "SSIMULACRA2", 2, (0, 100), lambda score: 100 - score),
    "lpips": _Kind("perception", "LPIPS", 4, (0, math.inf), lambda lpips: lpips),
}


@dataclass(frozen=True)
class Target:
    """What a file must meet. Made by `Target.bpp`, `.size`, `.psnr`, `.ms_ssim`, `.ssimulacra2` or `.lpips`,
    which raise `UsageError` for values that no file can have.

    Every target bounds a cost from above: a file's bytes, its mean squared error, 1 - MS-SSIM,
    100 - SSIMULACRA2, or its LPIPS. The file found costs as much as the bound or up to 1 % less: it is never
    larger, and never worse, than was asked for. If every quality meets the target, the file is the best or
    the smallest that there is. If the cost jumps from one quality to the next, the file may be far under the
    bound. `TargetWarning` tells of both. `Target.psnr(30) & Target.lpips(0.1)` gives `Bounds`.

    >>> print(Target.size("50kB"), "|", Target.psnr(30) & Target.lpips(0.1))
    50000 bytes | 30 dB PSNR and 0.1 LPIPS
    """

    kind: str
    value: float
    max_quality: float = 100.0
    """The highest quality to take, for targets of rate."""

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise UsageError(f"target {self.kind!r}: must be one of {', '.join(_KINDS)}")
        kind = _KINDS[self.kind]
        if isinstance(self.value, bool) or not isinstance(self.value, Real):
            raise UsageError(f"target of {kind.unit}: {self.value!r} is not a number")
        object.__setattr__(self, "value", plain_number(self.value))
        low, high = kind.bounds
        if not low < self.value < high:
            limits = f"over {low:g} and below {high:g}" if kind.role == "distortion" else "over 0, and finite"
            raise UsageError(f"target {self.value!r:.24} {kind.unit}: must be {limits}")
        object.__setattr__(self, "max_quality", number_within("max_quality", self.max_quality, 100))
        if self.max_quality < 100 and not self.is_of_rate:
            raise UsageError(
                f"max_quality {self.max_quality:g} and target {self}: only a target of rate bounds it"
            )

    @classmethod
    def bpp(cls, value: float, *, max_quality: float = 100.0) -> Target:
        """At most this many bits of the whole file per pixel. max_quality: the highest to take."""
        return cls("bpp", value, max_quality)

    @classmethod
    def size(cls, value: int | str, *, max_quality: float = 100.0) -> Target:
        """At most this many bytes for the file: a number, or text such as "50kB", "1.5MB" or "64KiB".
        max_quality: the highest to take.
        """
        return cls("size", _parsed_size(value) if isinstance(value, str) else value, max_quality)

    @classmethod
    def psnr(cls, value: float) -> Target:
        """At least this many dB, over the RGB channels together."""
        return cls("psnr", value)

    @classmethod
    def ms_ssim(cls, value: float) -> Target:
        """At least this MS-SSIM, the mean over the RGB channels, between 0 and 1. It is defined for images
        with sides of 161 pixels or more.
        """
        return cls("ms_ssim", value)

    @classmethod
    def ssimulacra2(cls, value: float) -> Target:
        """At least this score, between 0 and 100: 90 where no difference is seen, 30 for low quality."""
        return cls("ssimulacra2", value)

    @classmethod
    def lpips(cls, value: float) -> Target:
        """At most this LPIPS, by AlexNet; over 0. It is defined for sides of 32 pixels or more."""
        return cls("lpips", value)

    def __str__(self) -> str:
        return f"{self.value:.12g} {_KINDS[self.kind].unit}"

    def __and__(self, other: Target) -> Bounds:
        """Both at once. Raises `UsageError` unless one is for distortion and one for perception."""
        if not isinstance(other, Target):
            raise UsageError(f"target {self} and {other!r}: the second is not a target")
        by_role = {_KINDS[target.kind].role: target for target in (self, other)}
        if by_role.keys() != {"distortion", "perception"}:
            raise UsageError(
                f"targets {self} and {other}: a pair takes one of distortion (PSNR, MS-SSIM, SSIMULACRA2) "
                "and one of perception (LPIPS)"
            )
        return Bounds(by_role["distortion"], by_role["perception"])

    @property
    def is_of_rate(self) -> bool:
        """Whether the target bounds the file's bytes, which rise with quality, and not the errors of what is
        decoded from them, which fall.
        """
        return _KINDS[self.kind].role == "rate"

    @property
    def is_of_perception(self) -> bool:
        """Whether the target bounds a measure that realism improves."""
        return _KINDS[self.kind].role == "perception"

    def excess(self, measured: float) -> float:
        """How far a measured value is over the target: the logarithm of the ratio of their costs, at most 0
        where the target is met.
        """
        cost = _KINDS[self.kind].cost
        return math.log(max(cost(measured) / cost(self.value), _LEAST))

    def text(self, measured: float) -> str:
        """A measured value with its unit."""
        kind = _KINDS[self.kind]
        return f"{measured:.{kind.decimals}f} {kind.unit}"

    def range_of(self, first: float, last: float) -> str:
        """Measured values at qualities 0 and 100, in words, rounded so that a target can meet either."""
        kind = _KINDS[self.kind]
        unit = 10.0**-kind.decimals
        inside = (math.ceil, math.floor) if first < last else (math.floor, math.ceil)
        ends = [
            f"{end if math.isinf(end) else rounded(end / unit) * unit:.{kind.decimals}f}"
            for end, rounded in zip((first, last), inside, strict=True)
        ]
        return f"{' to '.join(ends)} {kind.unit}"


def plain_number(value: Real | float) -> float:
    """A number as Python's own, since those of NumPy may wrap or round in later arithmetic."""
    if type(value) is int or type(value) is float:
        return value
    try:
        return float(value)
    except OverflowError:  # a fraction, say
        return math.inf


def number_within(name: str, value: float, highest: int) -> float:
    """A setting as a plain number. Raises `UsageError` unless it is a number from 0 to `highest`."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise UsageError(f"{name} {value!r} is not a number")
    if not 0 <= value <= highest:
        raise UsageError(f"{name} {value} is outside 0..{highest}")
    return plain_number(value)


@dataclass(frozen=True)
class Bounds:
    """Two targets that the smallest possible file must meet: min R subject to D ≤ d and P ≤ p. The encoder
    finds both quality and realism. Made by joining two targets with `&`.
    """

    distortion: Target
    perception: Target

    def __post_init__(self) -> None:
        """Raises `UsageError` unless the first is a target of distortion and the second one of perception."""
        for name, target in (("distortion", self.distortion), ("perception", self.perception)):
            if not isinstance(target, Target):
                raise UsageError(f"{name} {target!r}: not a target")
            if _KINDS[target.kind].role != name:
                raise UsageError(f"{name}: {target} is no target of {name}")

    def __str__(self) -> str:
        return f"{self.distortion} and {self.perception}"

    def text(self, distortion: float, perception: float) -> str:
        """Measured values of both with their units."""
        return f"{self.distortion.text(distortion)} and {self.perception.text(perception)}"


def _parsed_size(text: str) -> int:
    """A file size in bytes: kB, MB, GB are powers of 1000, KiB, MiB, GiB of 1024. Raises `UsageError`."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"size {text!r}: give bytes, or a number with kB, MB, GB, KiB, MiB or GiB")
    number, prefix, binary = match.groups()
    power = " kmg".index(prefix.lower()) if prefix else 0
    return int(Decimal(number) * (1024 if binary else 1000) ** power)
