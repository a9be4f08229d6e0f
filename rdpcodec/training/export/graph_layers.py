"""The layers of a release as nodes of a graph: each does what its namesake in `rdpcodec.model` does."""

from __future__ import annotations

from typing import Any

from rdpcodec.entropy.tables import KNOTS
from rdpcodec.training.export.graph_writer import INT64, Graph, Value


class Gains:
    """`RateGain`. The position of the quality between knots is computed once per graph."""

    def __init__(self, g: Graph) -> None:
        position = g.op("Mul", "quality", g.constant((KNOTS - 1) / 100))
        position = g.clipped(position, 0, KNOTS - 1)
        lower = g.op("Min", g.op("Floor", position), g.constant(KNOTS - 2))
        self._graph, self._fraction = g, g.op("Sub", position, lower)
        self._lower = g.op("Cast", lower, to=INT64)
        self._upper = g.op("Add", self._lower, g.constant(1, kind=INT64))

    def __call__(self, x: Value, name: str) -> Value:
        g, table = self._graph, self._graph.weight(f"{name}.log_gain")
        low, high = g.op("Gather", table, self._lower), g.op("Gather", table, self._upper)
        log_gain = g.op("Add", low, g.op("Mul", self._fraction, g.op("Sub", high, low)))
        return g.op("Mul", x, g.reshaped(g.op("Exp", log_gain), 1, -1, 1, 1))


def _scaled(g: Graph, name: str, gain: float) -> list[Value]:
    """Weight of a layer, and its bias if it has one, times its gain."""
    stored = [g.weight(f"{name}.{part}") for part in ("weight", "bias") if g.has(f"{name}.{part}")]
    return stored if gain == 1 else [g.op("Mul", value, g.constant(gain)) for value in stored]


def pointwise(g: Graph, x: Value, name: str, *, gain: float = 1.0, factor: int = 1) -> Value:
    """`Pointwise`, after pixel unshuffling by `factor`: together, a convolution that does not overlap."""
    weight, *bias = _scaled(g, name, gain)
    channels_out, channels_in = g.shape(f"{name}.weight")
    weight = g.reshaped(weight, channels_out, channels_in // factor**2, factor, factor)
    return g.op("Conv", x, weight, *bias, strides=[factor] * 2)


def blocks(g: Graph, x: Value, name: str, count: int, gated: bool) -> Value:
    """A row of blocks."""
    for number in range(count):
        x = block(g, x, f"{name}.{number}", gated)
    return x


def block(g: Graph, x: Value, name: str, gated: bool) -> Value:
    """`ConvBlock`, or `GatedBlock`."""
    h = silu(g, pointwise(g, x, f"{name}.spatial_in", gain=4.0))
    h = pointwise(g, depthwise(g, h, name, pads=[1] * 4), f"{name}.spatial_out", gain=0.25)
    return channels_mixed(g, g.op("Add", h, x), name, gated)


def depthwise(g: Graph, x: Value, name: str, **attributes: Any) -> Value:
    """The depthwise convolution of a block."""
    channels = g.shape(f"{name}.depthwise.weight")[0]
    return g.op("Conv", x, *_scaled(g, f"{name}.depthwise", 1.0), group=channels, **attributes)


def channels_mixed(g: Graph, x: Value, name: str, gated: bool) -> Value:
    """The second half of a block."""
    if gated:
        return g.op("Add", pointwise(g, _opened(g, x, name), f"{name}.narrow"), x)
    total = _widened(g, x, f"{name}.widen")
    return g.op("Add", pointwise(g, total, f"{name}.narrow", gain=0.25), x)


def _opened(g: Graph, x: Value, name: str) -> Value:
    """What the gate of a `GatedBlock` lets through."""
    gate = g.op("Sigmoid", pointwise(g, x, f"{name}.gate", gain=4.0))
    return g.op("Mul", gate, pointwise(g, x, f"{name}.value"))


def _widened(g: Graph, x: Value, name: str) -> Value:
    """The sum of the four quarters, one at a time as in `ConvBlock`."""
    stored = _scaled(g, name, 4.0)
    channels_out, channels_in = g.shape(f"{name}.weight")
    stored[0] = g.reshaped(stored[0], channels_out, channels_in, 1, 1)
    quarters = [g.split("Split", value, results=4, axis=0) for value in stored]
    first, *others = (silu(g, g.op("Conv", x, *layer)) for layer in zip(*quarters, strict=True))
    for other in others:
        first = g.op("Add", first, other)
    return first


def silu(g: Graph, x: Value) -> Value:
    return g.op("Mul", x, g.op("Sigmoid", x))


def upsampled(g: Graph, x: Value, name: str, factor: int = 2) -> Value:
    """`Upsample`."""
    channels = g.shape(f"{name}.mix.weight")[0] // factor**2
    return shuffled(g, pointwise(g, x, f"{name}.mix"), channels, factor)


def shuffled(g: Graph, x: Value, channels: int, factor: int) -> Value:
    """`DepthToSpace` to `channels`: columns first, then rows, in a third of ONNX Runtime's own time."""
    size = g.op("Shape", x, start=2)

    def shape(lead: int, rows: int, columns: int) -> Value:
        grown = g.op("Mul", size, g.constant(rows, columns, kind=INT64))
        return g.op("Concat", g.constant(-1, lead, kind=INT64), grown, axis=0)

    columns = g.op("Transpose", g.reshaped(x, -1, factor, 0, 0), perm=[0, 2, 3, 1])
    rows = g.op("Reshape", columns, shape(factor, 1, factor))
    return g.op("Reshape", g.op("Transpose", rows, perm=[0, 2, 1, 3]), shape(channels, factor, factor))


def half_of(g: Graph, x: Value, half: int) -> Value:
    """`rdpcodec.engine.checkerboard.half_of`."""
    odd = g.op("Mod", g.op("Shape", x, start=2), g.constant(2, kind=INT64))
    even = g.op("Pad", x, g.op("Concat", g.constant(*[0] * 6, kind=INT64), odd, axis=0))

    end, axes, step = (g.constant(*pair, kind=INT64) for pair in ([2**31 - 1] * 2, [2, 3], [2, 2]))

    def side(row: int, column: int) -> Value:
        return g.op("Slice", even, g.constant(row, column, kind=INT64), end, axes, step)

    return g.op("Concat", side(0, half), side(1, 1 - half), axis=3)


def cut(g: Graph, x: Value) -> Value:
    """The rows and columns that the input `size` asks for."""
    return g.op("Slice", x, g.constant(0, 0, kind=INT64), "size", g.constant(2, 3, kind=INT64))
