"""Figure of the plane over methods."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.codecs import OURS
from bench.drawing import pyplot
from bench.papers.methods.claims import WITH_REFERENCE, Plane

_INKS = ("#0b5394", "#38761d", "#cc4125", "#674ea7", "#7f6000")
_MARKS = {"avif": "^", "webp": "v", "jpeg": "s", "bicubic": "x", "srmd": "P", "real-esrgan": "*"}
_NAMES = {"avif": "AVIF", "webp": "WebP", "jpeg": "JPEG", "srmd": "SRMD", "real-esrgan": "Real-ESRGAN"}


def methods(drawn: list[Plane], natural: float) -> Figure:
    """A panel for each measure with a reference; colours are groups, marks are methods; lower left is better.

    natural: NIQE of the originals.
    """
    measures = list(WITH_REFERENCE)
    figure, axes = pyplot.subplots(2, 3, figsize=(13.5, 8), layout="constrained")
    groups = list(dict.fromkeys(plane.group for plane in drawn))
    for axis, measure in zip(axes.flat, measures, strict=False):
        for plane in drawn:
            if plane.measure != measure:
                continue
            ink = _INKS[groups.index(plane.group) % len(_INKS)]
            sign = WITH_REFERENCE[measure][1]
            x, y = sign * plane.closeness.mean(1), plane.naturalness.mean(1)
            ours = [number for number, name in enumerate(plane.methods) if name.startswith(OURS)]
            axis.plot(x[ours], y[ours], "o-", color=ink, markersize=5)
            for number, name in enumerate(plane.methods):
                if number not in ours:
                    axis.plot(x[number], y[number], _MARKS[name], color=ink, markersize=7)
        if WITH_REFERENCE[measure][1] < 0:
            axis.invert_xaxis()
        axis.axhline(natural, color="grey", linestyle=":", linewidth=1)
        axis.set(xlabel=f"{WITH_REFERENCE[measure][0]} (better to the left)", ylabel="NIQE (lower is better)")
        axis.grid(alpha=0.3)
    _legend(axes.flat[-1], drawn, groups)
    return figure


def _legend(axis: Axes, drawn: list[Plane], groups: list[str]) -> None:
    axis.axis("off")
    for ink, group in zip(np.resize(_INKS, len(groups)), groups, strict=True):
        axis.plot([], [], "-", color=str(ink), linewidth=5, label=group)
    axis.plot([], [], "ko-", label="rdpcodec, realism 0 to 1")
    for name in dict.fromkeys(name for plane in drawn for name in plane.methods):
        if not name.startswith(OURS):
            axis.plot([], [], _MARKS[name], color="black", label=_NAMES.get(name, name))
    axis.plot([], [], ":", color="grey", label="the originals' NIQE")
    axis.legend(loc="center", fontsize=10)
