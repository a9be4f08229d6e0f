"""The operating point: where on the rate-distortion-perception surface an image is coded. Some have names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from rdpcodec.errors import UsageError
from rdpcodec.targets import Bounds, Target, number_within

AUTO: Literal["auto"] = "auto"
"""In place of a realism: the encoder chooses one for each image (`rdpcodec.encoder.auto_realism`)."""
Realism = float | Literal["auto"]
EFFORT_MAX = 9

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
        if not isinstance(realism, str):
            object.__setattr__(self, "realism", realism := number_within("realism", realism, 1))
        elif realism != AUTO:
            raise UsageError(f"realism {realism!r} is neither a number nor {AUTO!r}")
        if isinstance(quality, Bounds) and realism != 0:
            raise UsageError(f"realism {realism}: {quality} find the realism themselves: leave it out")
        if isinstance(quality, str) and quality in PRESETS:
            raise UsageError(
                f"quality {quality!r} is the name of a preset: give rdpcodec.PRESETS[{quality!r}]"
            )
        if not isinstance(quality, (Target, Bounds)):
            object.__setattr__(self, "quality", number_within("quality", quality, 100))
        effort = number_within("effort", self.effort, EFFORT_MAX)
        if effort != int(effort):
            raise UsageError(f"effort {effort} is not a whole number")
        object.__setattr__(self, "effort", int(effort))


PRESETS = {
    "archive": OperatingPoint(90),  # images to keep
    "web": OperatingPoint(50),  # images on a page
    "thumbnail": OperatingPoint(30),  # small images that stand for larger ones
    "photo-real": OperatingPoint(20, realism=1),  # natural rather than exact, where bits are few
    "auto": OperatingPoint(50, realism=AUTO),  # realism as the image's detail asks for
}
"""Operating points by name. README says what each gives on Kodak."""


def combined(
    *,
    preset: str | None = None,
    quality: float | None = None,
    target: Target | Bounds | None = None,
    realism: Realism | None = None,
    effort: int | None = None,
) -> OperatingPoint:
    """The operating point that settings ask for together. Each that is given replaces the preset's.

    Beside a target of rate, a quality, also a preset's, is the highest to take. Raises `UsageError` for an
    unknown preset, for a quality beside another target, and as `OperatingPoint` does.
    """
    if preset is not None and preset not in PRESETS:
        raise UsageError(f"preset {preset!r}: must be one of {', '.join(PRESETS)}")
    point = OperatingPoint() if preset is None else PRESETS[preset]
    wanted = point.quality if quality is None else quality
    if isinstance(target, Target) and target.is_of_rate:
        if preset is not None or quality is not None:
            assert not isinstance(wanted, (Target, Bounds))
            target = replace(target, quality=min(target.quality, number_within("quality", wanted, 100)))
        wanted = target
    elif target is not None:
        if quality is not None:
            raise UsageError(f"quality {quality} and target {target}: give one of them")
        wanted = target
    return OperatingPoint(
        wanted,
        point.realism if realism is None else realism,
        point.effort if effort is None else effort,
    )
