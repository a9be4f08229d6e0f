"""The operating point: where on the rate-distortion-perception surface an image is coded. Some have names.

A quality may be a number, or a `Target` that the file must meet: bytes, bits per pixel, PSNR, MS-SSIM,
SSIMULACRA2 or LPIPS. It may also be `Bounds`, one on distortion and one on perception.
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

AUTO: Literal["auto"] = "auto"
"""In place of a realism: the encoder chooses one for each image (`rdpcodec.encoder.auto_realism`)."""
Realism = float | Literal["auto"]
EFFORT_MAX = 9
# As a share of the target's cost: lower costs count as this, since an error of zero has no logarithm.
_LEAST = 0.01
_SIZE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(?:([kmg])(i?))?b?", re.IGNORECASE)


class _Kind(NamedTuple):
    role: Literal["rate", "distortion", "perception"]
    unit: str
    decimals: int
    bounds: tuple[float, float]  # of sensible targets, exclusive
    cost: Callable[[float], float]  # bounded from above by a target
    side: int = 1  # of the smallest image, in pixels, that has a measure (as `rdpcodec.metrics` has it)


_RATES = (1e-9, 1e30)  # their logarithms are finite, and no file is outside
_KINDS = {
    "bpp": _Kind("rate", "bits per pixel", 4, _RATES, lambda bpp: bpp),
    "size": _Kind("rate", "bytes", 0, _RATES, lambda size: size),
    "psnr": _Kind("distortion", "dB PSNR", 2, (0, 100), lambda psnr: 10 ** (-psnr / 10)),
    "ms_ssim": _Kind("distortion", "MS-SSIM", 4, (0, 1), lambda ms_ssim: 1 - ms_ssim, 161),
    "ssimulacra2": _Kind("distortion", "SSIMULACRA2", 2, (0, 100), lambda score: 100 - score, 8),
    "lpips": _Kind("perception", "LPIPS", 4, (0, math.inf), lambda lpips: lpips, 32),
}


def least_side(kind: str) -> int:
    """The side in pixels of the smallest images that a measure is defined for: "psnr", "ms_ssim", …"""
    return _KINDS[kind].side


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

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise UsageError(f"target {self.kind!r}: must be one of {', '.join(_KINDS)}")
        kind = _KINDS[self.kind]
        if isinstance(self.value, bool) or not isinstance(self.value, Real):
            raise UsageError(f"target of {kind.unit}: {self.value!r} is not a number")
        low, high = kind.bounds
        if not low < self.value < high:
            limits = f"over {low:g} and below {high:g}" if kind.role == "distortion" else "over 0, and finite"
            raise UsageError(f"target {self.value!r:.24} {kind.unit}: must be {limits}")

    @classmethod
    def bpp(cls, value: float) -> Target:
        """At most this many bits of the whole file per pixel."""
        return cls("bpp", value)

    @classmethod
    def size(cls, value: int | str) -> Target:
        """At most this many bytes for the file: a number, or text such as "50kB", "1.5MB" or "64KiB"."""
        return cls("size", _parsed_size(value) if isinstance(value, str) else value)

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
        """At most this LPIPS, by AlexNet."""
        return cls("lpips", value)

    def __str__(self) -> str:
        return f"{self.value:.12g} {_KINDS[self.kind].unit}"

    def __and__(self, other: Target) -> Bounds:
        """Both at once. Raises `UsageError` unless one is for distortion and one for perception."""
        by_role = {_KINDS[target.kind].role: target for target in (self, other)}
        if by_role.keys() != {"distortion", "perception"}:
            raise UsageError(
                f"targets {self} and {other}: a pair takes one of distortion (psnr, ms_ssim, ssimulacra2) "
                "and one of perception (lpips)"
            )
        return Bounds(by_role["distortion"], by_role["perception"])

    @property
    def is_of_rate(self) -> bool:
        """Whether the target bounds the file's bytes, not the image decoded from them."""
        return _KINDS[self.kind].role == "rate"

    @property
    def cost_rises(self) -> bool:
        """Whether the cost that the target bounds rises with quality, as bytes do, or falls, as errors do."""
        return self.is_of_rate

    def excess(self, measured: float) -> float:
        """How far a measured value is over the target: the logarithm of the ratio of their costs, at most 0
        where the target is met. Raises `UsageError` where the measure is not a number.
        """
        kind = _KINDS[self.kind]
        if math.isnan(measured):
            side = f"it takes an image of at least {kind.side}×{kind.side} pixels"
            raise UsageError(f"target {self}: not defined for an image as small as this one; {side}")
        return math.log(max(kind.cost(measured) / kind.cost(self.value), _LEAST))

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


@dataclass(frozen=True)
class Bounds:
    """Two targets that the smallest possible file must meet: min R subject to D ≤ d and P ≤ p. The encoder
    finds both quality and realism. Made by joining two targets with `&`.
    """

    distortion: Target
    perception: Target

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


Quality = float | Target | Bounds


@dataclass(frozen=True)
class OperatingPoint:
    """The settings that an image is coded with.

    quality: 0..100, the rate; or a `Target` or `Bounds` that the file must meet. realism: 0..1, how far
    decoding moves from the closest image to the most natural one; "auto" for as far as the image's detail
    asks. With `Bounds` the encoder finds it: leave it at 0. effort: 0..9, how long the encoder searches. From
    1 on, another number of threads or another machine may find another file, as good on average. Raises
    `UsageError` for values out of range.

    >>> OperatingPoint(Target.bpp(0.3), realism="auto").effort
    0
    >>> OperatingPoint(101)
    Traceback (most recent call last):
    rdpcodec.errors.UsageError: quality 101 is outside 0..100
    """

    quality: Quality = 50.0
    realism: Realism = 0.0
    effort: int = 0

    def __post_init__(self) -> None:
        quality, realism = self.quality, self.realism
        if isinstance(realism, str) and realism != AUTO:
            raise UsageError(f"realism {realism!r} is neither a number nor {AUTO!r}")
        if isinstance(quality, Bounds) and realism != 0:
            raise UsageError(f"realism {realism}: {quality} find the realism themselves: leave it out")
        if isinstance(quality, str) and quality in PRESETS:
            raise UsageError(
                f"quality {quality!r} is the name of a preset: give rdpcodec.PRESETS[{quality!r}]"
            )
        if not isinstance(quality, (Target, Bounds)):
            _check_range("quality", quality, 100)
        if realism != AUTO:
            _check_range("realism", realism, 1)
        _check_range("effort", self.effort, EFFORT_MAX)
        if self.effort != int(self.effort):
            raise UsageError(f"effort {self.effort} is not a whole number")
        object.__setattr__(self, "effort", int(self.effort))


def _check_range(name: str, value: float, highest: int) -> None:
    """Raise `UsageError` unless a setting is a number from 0 to `highest`."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise UsageError(f"{name} {value!r} is not a number")
    if not 0 <= value <= highest:
        raise UsageError(f"{name} {value} is outside 0..{highest}")


PRESETS = {
    "archive": OperatingPoint(90),  # images to keep
    "web": OperatingPoint(50),  # images on a page
    "thumbnail": OperatingPoint(30),  # small images that stand for larger ones
    "photo-real": OperatingPoint(20, realism=1),  # natural rather than exact, where bits are few
    "auto": OperatingPoint(50, realism=AUTO),  # realism as the image's detail asks for
}
"""Operating points by name. README says what each gives on Kodak."""
