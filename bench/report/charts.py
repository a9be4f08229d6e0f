"""What a figure of the report is made of, as plain values: axes with ranges and ticks, series, charts."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

# Candidate steps for the ticks of a logarithmic axis; the first that make few enough (`TICKS`) are taken.
LOG_STEPS = ((1, 1.5, 2, 3, 4, 5, 6, 7, 8), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,))
TICKS = 7


@dataclass(frozen=True)
class Axis:
    """An axis.

    decimals: those of a value in text; None means three significant digits. flip: large values first.
    """

    name: str
    unit: str = ""
    log: bool = False
    flip: bool = False
    decimals: int | None = None
    domain: tuple[float, float] = (0.0, 1.0)
    ticks: tuple[float, ...] = ()

    def holding(self, values: Iterable[float], margin: float = 0.06) -> Axis:
        """The axis with a range that holds these finite values, and with ticks for it."""
        scaled = [math.log2(v) if self.log else v for v in values if not self.log or v > 0]
        low, high = (min(scaled), max(scaled)) if scaled else (0.0, 1.0)
        if low == high:
            low, high = low - 0.5, high + 0.5
        room = (high - low) * margin
        low, high = low - room, high + room
        domain = (2**low, 2**high) if self.log else (low, high)
        return replace(self, domain=domain, ticks=_log_ticks(*domain) if self.log else _ticks(*domain))


@dataclass(frozen=True)
class Point:
    """A point of a series; z in space only.

    Ranges are 95 % intervals. note: what else the reader is told.
    """

    x: float
    y: float
    z: float | None = None
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    note: str = ""


@dataclass(frozen=True)
class Series:
    """Points in order.

    colour: a name from the palette or a hexadecimal code; codec: the name by which a legend switches the
    series off; width: of the line in pixels, 0 for none; dash: in line widths, drawn and left out; dot: a
    radius in pixels, 0 for none; band: y ranges as an area; bars: ranges as error bars; end: a name to write
    at the last point.
    """

    label: str
    colour: str
    points: list[Point]
    codec: str = ""
    opacity: float = 1.0
    width: float = 1.6
    dash: tuple[int, ...] | None = None
    dot: float = 0.0
    band: bool = False
    bars: bool = False
    end: str = ""


@dataclass(frozen=True)
class Chart:
    """A figure in the plane.

    gutter: room at the right for the names of curves; otherwise they stand beside their last points.
    """

    title: str
    x: Axis
    y: Axis
    series: list[Series]
    gutter: bool = False

    def fitted(self) -> Chart:
        """The chart with axes that hold all of its points and their ranges."""
        points = [point for series in self.series for point in series.points]
        return replace(
            self,
            x=self.x.holding(v for p in points for v in (p.x, *(p.x_range or ()))),
            y=self.y.holding(v for p in points for v in (p.y, *(p.y_range or ()))),
        )


def _ticks(low: float, high: float) -> tuple[float, ...]:
    raw = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = power * next(factor for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw)
    return tuple(round(i * step, 12) for i in range(math.ceil(low / step), math.floor(high / step) + 1))


def _log_ticks(low: float, high: float) -> tuple[float, ...]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in LOG_STEPS:
        ticks = tuple(step * 10.0**p for p in powers for step in steps if low <= step * 10.0**p <= high)
        if len(ticks) <= TICKS + 1:
            return ticks if len(ticks) > 1 else _ticks(low, high)  # the axis spans little
    return (low, high)
