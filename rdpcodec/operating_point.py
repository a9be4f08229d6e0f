"""The operating point: where on the rate-distortion-perception surface an image is coded. Some have names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from rdpcodec.errors import UsageError, warn
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


def point_from_options(
    *,
    preset: str | None = None,
    quality: float | None = None,
    target: Target | Bounds | None = None,
    realism: Realism | None = None,
    effort: int | None = None,
) -> OperatingPoint:
    """The operating point that options of the command line or of Pillow's `save` ask for together. Each that
    is given replaces the preset's.

    Beside a target of rate, a quality, also a preset's, is the highest to take. Raises `UsageError` for an
    unknown preset, for a quality beside another target, and as `OperatingPoint` does.
    """
    if preset is not None and preset not in PRESETS:
        raise UsageError(f"preset {preset!r}: must be one of {', '.join(PRESETS)}")
    point = OperatingPoint() if preset is None else PRESETS[preset]
    wanted = point.quality if quality is None else quality
    if isinstance(target, Target) and target.is_of_rate:
        if isinstance(wanted, (Target, Bounds)):
            raise UsageError(f"quality {wanted} and target {target}: give one of them")
        if preset is not None or quality is not None:
            target = replace(
                target, max_quality=min(target.max_quality, number_within("quality", wanted, 100))
            )
        wanted = target
    elif target is not None:
        if quality is not None:
            raise UsageError(f"quality {quality} and target {target}: give one of them")
        wanted = target
    own = 0.0 if isinstance(target, Bounds) else point.realism  # two bounds find the realism, too
    return OperatingPoint(
        wanted,
        own if realism is None else realism,
        point.effort if effort is None else effort,
    )


def point_from_arguments(
    quality: Quality | OperatingPoint | None,
    target: Target | None,
    realism: Realism | None,
    effort: int | None,
) -> OperatingPoint:
    """The operating point that `compress` is asked for: made from its arguments, or given in place of the
    quality. A realism or an effort beside it replaces its own.
    """
    given = {"realism": realism, "effort": effort}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if not isinstance(quality, OperatingPoint):
        return OperatingPoint(_quality_of(quality, target), **changes)
    if target is not None:
        raise UsageError(f"{quality} and target {target}: give one of them")
    return replace(quality, **changes)


def _quality_of(quality: Quality | None, target: Target | None) -> Quality:
    """The quality that the arguments ask for, including `target` as in version 0.1."""
    if target is None:
        return 50.0 if quality is None else quality
    warn("target=… is deprecated: give the target as quality", DeprecationWarning)
    if quality is not None:
        raise UsageError(f"quality {quality} and target {target}: give one of them")
    if not isinstance(target, Target):
        raise UsageError(f"target {target!r}: give a rdpcodec.Target, such as Target.bpp(0.3)")
    return target


def point_or_quality(
    point: Quality | OperatingPoint | None, quality: Quality | None = None
) -> OperatingPoint:
    """The operating point that `compress_batch` is asked for: a point, or a quality."""
    if point is not None and quality is not None:
        raise UsageError(f"quality {quality} and {point}: give one of them")
    chosen = quality if point is None else point
    if chosen is None:
        return OperatingPoint()
    return chosen if isinstance(chosen, OperatingPoint) else OperatingPoint(chosen)
