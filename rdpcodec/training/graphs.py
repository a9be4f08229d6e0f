"""The networks of a release as ONNX graphs of a few kilobytes, for engines without torch and for browsers.

The graphs hold no weights. Their initialisers are external data: they name the release's safetensors file,
and where in it a tensor begins. Whoever loads a graph casts float16 to float32 and folds constants once.
Batch, height and width are free; the quality is an input. Each graph does what a method in `rdpcodec.model`
does, and `rdpcodec.engine.onnx` runs them. Needs the extra `train`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from rdpcodec.entropy import exact
from rdpcodec.entropy.tables import KNOTS
from rdpcodec.model.scale_network import HYPER_LATENT_MAX
from rdpcodec.model.transforms import PATCH_VALUES, STEP_MIDDLE
from rdpcodec.storage import replace_file
from rdpcodec.tiles import PATCH
from rdpcodec.training.graph_writer import FLOAT, INT64, UINT8, Graph, Port, Value
from rdpcodec.weights.architecture import Architecture, architecture_from
from rdpcodec.weights.manifest import REALISM_PREFIX, graph_path
from rdpcodec.weights.stored import stored_tensors


def write_graphs(weights: Path, architecture: Architecture, *, encodes: bool = True) -> dict[str, str]:
    """Write the graphs of a release beside its safetensors file. Returns the SHA-256 of each by name."""
    digests = {}
    for name, blob in graphs(weights.name, weights.read_bytes(), architecture, encodes=encodes).items():
        replace_file(graph_path(weights, name), blob)
        digests[name] = hashlib.sha256(blob).hexdigest()
    return digests


def add_graphs(folder: Path) -> list[str]:
    """Write the graphs of all weights of a folder anew, and note them in its manifest. Returns the models."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    for record in manifest["models"].values():
        architecture = architecture_from(record["architecture"])
        encodes = record.get("encodes", True)
        record["graphs"] = write_graphs(folder / record["file"], architecture, encodes=encodes)
    replace_file(path, (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode())
    return list(manifest["models"])


def graphs(file: str, blob: bytes, size: Architecture, *, encodes: bool = True) -> dict[str, bytes]:
    """The graphs of a release by name. file: how the safetensors file with the bytes `blob` is called.
    encodes: whether it makes files, which takes three graphs more.
    """
    tensors = stored_tensors(blob)
    made = {
        "scales": _scales(Graph(file, tensors, "scale."), size),
        "means": _means(Graph(file, tensors, "mean_network."), size),
        "context": _context(Graph(file, tensors, "mean_network."), size),
        "synthesis": _synthesis(Graph(file, tensors, "synthesis."), size),
    }
    if any(name.startswith(REALISM_PREFIX) for name in tensors):
        made["realism"] = _synthesis(Graph(file, tensors, REALISM_PREFIX), size)
    if encodes:
        made |= {
            "features": _features(Graph(file, tensors, "analysis."), size),
            "analysis": _analysis(Graph(file, tensors, "analysis."), size),
            "hyper_latents": _hyper_latents(Graph(file, tensors, "hyper_analysis."), size),
        }
    return made


def _images(name: str, channels: int, kind: int = FLOAT) -> Port:
    """An input or output `[B, C, H, W]`; equal names of free dimensions would have to be equal."""
    return Port(name, kind, ["batch", channels, f"{name}_height", f"{name}_width"])


_QUALITY = Port("quality", FLOAT, [1])
_SIZE = Port("size", INT64, [2])


def _features(g: Graph, size: Architecture) -> bytes:
    """`Analysis.features`, of pixels uint8 `[B, H, W, 3]` with sides that are multiples of 16."""
    x = g.op("Cast", g.op("Transpose", "pixels", perm=[0, 3, 1, 2]), to=FLOAT)
    x = g.op("Sub", g.op("Div", x, g.constant(255)), g.constant(0.5))
    eighth = _blocks(
        g, _pointwise(g, x, "enter.mix", factor=8), "eighth", size.analysis_blocks[0], size.gated
    )
    bypass = _pointwise(g, x, "bypass", factor=PATCH, gain=255 / STEP_MIDDLE * PATCH_VALUES**-0.5)
    pixels = Port("pixels", UINT8, ["batch", "pixels_height", "pixels_width", 3])
    outputs = [(_images("eighth", size.eighth), eighth), (_images("bypass", size.latents), bypass)]
    return g.serialised([pixels], outputs)


def _analysis(g: Graph, size: Architecture) -> bytes:
    """`Analysis.latents`."""
    gain = _Gains(g)
    h = gain("eighth", "eighth_gain")
    down = _pointwise(g, h, "down.mix", factor=2)
    deeper = _blocks(g, down, "sixteenth", size.analysis_blocks[1], size.gated)
    if size.gated:
        deeper = g.op("Add", deeper, _pointwise(g, h, "shortcut.mix", factor=2))
    h = gain(deeper, "sixteenth_gain")
    y = gain(g.op("Add", _pointwise(g, h, "leave"), "bypass"), "gain")
    inputs = [_images("eighth", size.eighth), _images("bypass", size.latents), _QUALITY]
    return g.serialised(inputs, [(_images("latents", size.latents), y)])


def _hyper_latents(g: Graph, size: Architecture) -> bytes:
    """`RdpModel.hyper_latents`, of latents whose sides are multiples of 4."""
    spread = g.op("Mul", g.op("Abs", "latents"), g.constant(0.1))
    y = g.op("Div", "latents", g.op("Add", spread, g.constant(1)))
    h = _block(g, _pointwise(g, y, "enter"), "first", size.gated)
    h = _block(g, _pointwise(g, h, "down.mix", factor=2), "second", size.gated)
    z = g.clipped(_pointwise(g, h, "leave.mix", factor=2), -HYPER_LATENT_MAX, HYPER_LATENT_MAX)
    return g.serialised([_images("latents", size.latents)], [(_images("hyper", size.hyper_latents), z)])


def _scales(g: Graph, size: Architecture) -> bytes:
    """The integers of `ScaleNetwork`: exact in any float32 arithmetic (`rdpcodec.entropy.exact`).

    The biases that depend on the quality are inputs: they are interpolated in integers.
    """

    def shifted(x: Value, shift: int, limit: int) -> Value:
        x = g.op("Add", g.op("Mul", x, g.constant(2.0**-shift)), g.constant(0.5))
        return g.clipped(g.op("Floor", x), 0, limit)

    def mixed(x: Value, name: str, bias: Value) -> Value:
        weight = g.reshaped(g.weight(name), *g.shape(name), 1, 1)
        return g.op("Conv", x, weight, bias)

    def filtered(x: Value, number: int) -> Value:
        channels = size.scale
        weight = g.reshaped(g.weight(f"filters.{number}"), channels, 1, 3, 3)
        x = g.op("Conv", x, weight, group=channels, pads=[1] * 4)
        return shifted(x, exact.HIDDEN_SHIFT, exact.ACTIVATION_LIMIT)

    x = shifted(mixed("hyper", "enter", "enter_bias"), exact.ENTER_SHIFT, exact.ACTIVATION_LIMIT)
    for i in (0, 1):
        x = mixed(filtered(x, i), f"widen.{i}", g.weight(f"widen_bias.{i}"))
        x = shifted(_shuffled(g, x, size.scale, 2), exact.HIDDEN_SHIFT, exact.ACTIVATION_LIMIT)
    x = shifted(mixed(filtered(x, 2), "leave", "leave_bias"), exact.LEAVE_SHIFT, exact.INDEX_LIMIT)
    tables = g.op("Cast", _cut(g, x), to=UINT8)
    biases = [Port("enter_bias", FLOAT, [size.scale]), Port("leave_bias", FLOAT, [size.latents])]
    return g.serialised(
        [_images("hyper", size.hyper_latents), *biases, _SIZE],
        [(_images("tables", size.latents, UINT8), tables)],
    )


def _means(g: Graph, size: Architecture) -> bytes:
    """`MeanNetwork.features`, cut to the latents' size, and the means that they alone give."""
    h = _block(g, _upsampled(g, "hyper", "enter"), "first", size.gated)
    features = _cut(g, _Gains(g)(_upsampled(g, h, "up"), "gain"))
    return g.serialised(
        [_images("hyper", size.hyper_latents), _SIZE, _QUALITY],
        [
            (_images("features", size.prior), features),
            (_images("mean", size.latents), _pointwise(g, features, "leave")),
        ],
    )


def _context(g: Graph, size: Architecture) -> bytes:
    """The means of the second half of the checkerboard, from the features and the first half."""
    h = g.op("Add", "features", _pointwise(g, "anchors", "context_enter"))
    mean = _pointwise(g, _block(g, h, "context", size.gated), "context_leave")
    inputs = [_images("features", size.prior), _images("anchors", size.latents)]
    return g.serialised(inputs, [(_images("mean", size.latents), mean)])


def _synthesis(g: Graph, size: Architecture) -> bytes:
    """`Synthesis.forward`."""
    gain = _Gains(g)
    y = gain("latents", "gain")
    h = gain(_pointwise(g, y, "enter"), "sixteenth_gain")
    wider = _upsampled(g, _blocks(g, h, "sixteenth", size.synthesis_blocks[1], size.gated), "up")
    if size.gated:
        wider = g.op("Add", wider, _upsampled(g, h, "shortcut"))
    h = _blocks(g, gain(wider, "eighth_gain"), "eighth", size.synthesis_blocks[0], size.gated)
    bypass = _pointwise(g, y, "bypass", gain=STEP_MIDDLE / 255 * PATCH_VALUES**-0.5)
    x = g.op("Add", _upsampled(g, h, "leave", 8), _shuffled(g, bypass, 3, PATCH))
    x = g.op("Add", x, g.constant(0.5))
    return g.serialised([_images("latents", size.latents), _QUALITY], [(_images("pixels", 3), x)])


class _Gains:
    """`RateGain`. Where the quality lies between knots is found once a graph."""

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


def _pointwise(g: Graph, x: Value, name: str, *, gain: float = 1.0, factor: int = 1) -> Value:
    """`Pointwise`, after pixel unshuffling by `factor`: together, a convolution that does not overlap."""
    weight, *bias = _scaled(g, name, gain)
    channels_out, channels_in = g.shape(f"{name}.weight")
    weight = g.reshaped(weight, channels_out, channels_in // factor**2, factor, factor)
    return g.op("Conv", x, weight, *bias, strides=[factor] * 2)


def _blocks(g: Graph, x: Value, name: str, count: int, gated: bool) -> Value:
    """A row of blocks."""
    for number in range(count):
        x = _block(g, x, f"{name}.{number}", gated)
    return x


def _block(g: Graph, x: Value, name: str, gated: bool) -> Value:
    """`ConvBlock`, or `GatedBlock`."""
    h = _silu(g, _pointwise(g, x, f"{name}.spatial_in", gain=4.0))
    channels = g.shape(f"{name}.depthwise.weight")[0]
    h = g.op("Conv", h, *_scaled(g, f"{name}.depthwise", 1.0), group=channels, pads=[1] * 4)
    x = g.op("Add", _pointwise(g, h, f"{name}.spatial_out", gain=0.25), x)
    if gated:
        return g.op("Add", _pointwise(g, _opened(g, x, name), f"{name}.narrow"), x)
    total = _widened(g, x, f"{name}.widen")
    return g.op("Add", _pointwise(g, total, f"{name}.narrow", gain=0.25), x)


def _opened(g: Graph, x: Value, name: str) -> Value:
    """What the gate of a `GatedBlock` lets through."""
    gate = g.op("Sigmoid", _pointwise(g, x, f"{name}.gate", gain=4.0))
    return g.op("Mul", gate, _pointwise(g, x, f"{name}.value"))


def _widened(g: Graph, x: Value, name: str) -> Value:
    """The sum of the four quarters, one at a time as in `ConvBlock`."""
    stored = _scaled(g, name, 4.0)
    channels_out, channels_in = g.shape(f"{name}.weight")
    stored[0] = g.reshaped(stored[0], channels_out, channels_in, 1, 1)
    quarters = [g.split("Split", value, results=4, axis=0) for value in stored]
    first, *others = (_silu(g, g.op("Conv", x, *layer)) for layer in zip(*quarters, strict=True))
    for other in others:
        first = g.op("Add", first, other)
    return first


def _silu(g: Graph, x: Value) -> Value:
    return g.op("Mul", x, g.op("Sigmoid", x))


def _upsampled(g: Graph, x: Value, name: str, factor: int = 2) -> Value:
    """`Upsample`."""
    channels = g.shape(f"{name}.mix.weight")[0] // factor**2
    return _shuffled(g, _pointwise(g, x, f"{name}.mix"), channels, factor)


def _shuffled(g: Graph, x: Value, channels: int, factor: int) -> Value:
    """`DepthToSpace` to so many channels: columns first and then rows, in a third of ONNX Runtime's time."""
    size = g.op("Shape", x, start=2)

    def shape(lead: int, rows: int, columns: int) -> Value:
        grown = g.op("Mul", size, g.constant(rows, columns, kind=INT64))
        return g.op("Concat", g.constant(-1, lead, kind=INT64), grown, axis=0)

    columns = g.op("Transpose", g.reshaped(x, -1, factor, 0, 0), perm=[0, 2, 3, 1])
    rows = g.op("Reshape", columns, shape(factor, 1, factor))
    return g.op("Reshape", g.op("Transpose", rows, perm=[0, 2, 1, 3]), shape(channels, factor, factor))


def _cut(g: Graph, x: Value) -> Value:
    """The rows and columns that the input `size` says."""
    return g.op("Slice", x, g.constant(0, 0, kind=INT64), "size", g.constant(2, 3, kind=INT64))
