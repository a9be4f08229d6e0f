"""The networks of a release as ONNX graphs of a few kilobytes, for engines without torch and for browsers.

The graphs hold no weights. Their initialisers are external data: they name the release's safetensors file,
and where in it a tensor begins. Whoever loads a graph casts float16 to float32 and folds constants once.
Batch, height and width are free; the quality is an input. Each graph does what a method in `rdpcodec.model`
does, and `rdpcodec.engine.onnx` runs them. Needs the extra `train`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from rdpcodec.entropy import integers
from rdpcodec.errors import UsageError
from rdpcodec.format.tiles import PATCH
from rdpcodec.model.transforms import PATCH_VALUES, STEP_MIDDLE
from rdpcodec.training.export.graph_layers import (
    Gains,
    block,
    blocks,
    channels_mixed,
    cut,
    depthwise,
    half_of,
    pointwise,
    shuffled,
    silu,
    upsampled,
)
from rdpcodec.training.export.graph_writer import FLOAT, INT64, UINT8, Graph, Port, Value
from rdpcodec.training.export.weights_folder import read_manifest, write_models
from rdpcodec.weights.architecture import Architecture, architecture_from
from rdpcodec.weights.release import ENCODING_GRAPHS
from rdpcodec.weights.stored import stored_tensors
from rdpcodec.weights.tensors import REALISM_PREFIX, graph_path


def digests(made: Mapping[str, bytes], *, encodes: bool = True) -> dict[str, str]:
    """The SHA-256 of graphs by name, as a manifest lists them. encodes: see `graphs`."""
    names = made.keys() if encodes else made.keys() - ENCODING_GRAPHS
    return {name: hashlib.sha256(made[name]).hexdigest() for name in made if name in names}


def add_graphs(folder: Path) -> list[str]:
    """Write the graphs of all weights in a folder anew, and record them in its manifest. Returns the models.

    Raises `UsageError` when the folder has no models.
    """
    manifest = read_manifest(folder)
    if not manifest["models"]:
        raise UsageError(f"{folder}: has no models")
    files: dict[Path, bytes] = {}
    old: list[Path] = []
    for record in manifest["models"].values():
        weights = folder / record["file"]
        old += [graph_path(weights, name) for name in record.get("graphs", ())]
        architecture, encodes = architecture_from(record["architecture"]), record.get("encodes", True)
        made = graphs(weights.name, weights.read_bytes(), architecture, encodes=encodes)
        files |= {graph_path(weights, name): blob for name, blob in made.items()}
        record["graphs"] = digests(made)
    write_models(folder, manifest, files, old)
    return list(manifest["models"])


def graphs(file: str, blob: bytes, size: Architecture, *, encodes: bool = True) -> dict[str, bytes]:
    """The graphs of a release by name.

    file: the name of the safetensors file with the bytes `blob`. encodes: whether the release also encodes,
    which takes three more graphs.
    """
    tensors = stored_tensors(blob)
    made = {
        "scales": _scales(Graph(file, tensors, "scale."), size),
        "first_means": _first_means(Graph(file, tensors, "mean_network."), size),
        "second_means": _second_means(Graph(file, tensors, "mean_network."), size),
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
    """An input or output `[B, C, H, W]`. Free dimensions of one name must be equal, so sides add `name`."""
    return Port(name, kind, ["batch", channels, f"{name}_height", f"{name}_width"])


_QUALITY = Port("quality", FLOAT, [1])
_SIZE = Port("size", INT64, [2])


def _features(g: Graph, size: Architecture) -> bytes:
    """`Analysis.features`, for pixels uint8 `[B, H, W, 3]` with sides that are multiples of 16."""
    x = g.op("Cast", g.op("Transpose", "pixels", perm=[0, 3, 1, 2]), to=FLOAT)
    x = g.op("Sub", g.op("Div", x, g.constant(255)), g.constant(0.5))
    eighth = blocks(g, pointwise(g, x, "enter.mix", factor=8), "eighth", size.analysis_blocks[0], size.gated)
    bypass = pointwise(g, x, "bypass", factor=PATCH, gain=255 / STEP_MIDDLE * PATCH_VALUES**-0.5)
    pixels = Port("pixels", UINT8, ["batch", "pixels_height", "pixels_width", 3])
    outputs = [(_images("eighth", size.eighth), eighth), (_images("bypass", size.latents), bypass)]
    return g.serialised([pixels], outputs)


def _analysis(g: Graph, size: Architecture) -> bytes:
    """`Analysis.latents`."""
    gain = Gains(g)
    h = gain("eighth", "eighth_gain")
    down = pointwise(g, h, "down.mix", factor=2)
    deeper = blocks(g, down, "sixteenth", size.analysis_blocks[1], size.gated)
    if size.gated:
        deeper = g.op("Add", deeper, pointwise(g, h, "shortcut.mix", factor=2))
    h = gain(deeper, "sixteenth_gain")
    y = gain(g.op("Add", pointwise(g, h, "leave"), "bypass"), "gain")
    inputs = [_images("eighth", size.eighth), _images("bypass", size.latents), _QUALITY]
    return g.serialised(inputs, [(_images("latents", size.latents), y)])


def _hyper_latents(g: Graph, size: Architecture) -> bytes:
    """`RdpModel.hyper_latents`, for latents whose sides are multiples of 4."""
    spread = g.op("Mul", g.op("Abs", "latents"), g.constant(0.1))
    y = g.op("Div", "latents", g.op("Add", spread, g.constant(1)))
    h = block(g, pointwise(g, y, "enter"), "first", size.gated)
    h = block(g, pointwise(g, h, "down.mix", factor=2), "second", size.gated)
    z = g.clipped(
        pointwise(g, h, "leave.mix", factor=2), -integers.HYPER_LATENT_LIMIT, integers.HYPER_LATENT_LIMIT
    )
    return g.serialised([_images("latents", size.latents)], [(_images("hyper", size.hyper_latents), z)])


def _scales(g: Graph, size: Architecture) -> bytes:
    """The integers of `ScaleNetwork`: exact in any float32 arithmetic (`rdpcodec.entropy.integers`).

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
        return shifted(x, integers.HIDDEN_SHIFT, integers.ACTIVATION_LIMIT)

    x = shifted(mixed("hyper", "enter", "enter_bias"), integers.ENTER_SHIFT, integers.ACTIVATION_LIMIT)
    for i in (0, 1):
        x = mixed(filtered(x, i), f"widen.{i}", g.weight(f"widen_bias.{i}"))
        x = shifted(shuffled(g, x, size.scale, 2), integers.HIDDEN_SHIFT, integers.ACTIVATION_LIMIT)
    x = shifted(mixed(filtered(x, 2), "leave", "leave_bias"), integers.LEAVE_SHIFT, integers.INDEX_LIMIT)
    tables = g.op("Cast", cut(g, x), to=UINT8)
    biases = [Port("enter_bias", FLOAT, [size.scale]), Port("leave_bias", FLOAT, [size.latents])]
    return g.serialised(
        [_images("hyper", size.hyper_latents), *biases, _SIZE],
        [(_images("tables", size.latents, UINT8), tables)],
    )


def _first_means(g: Graph, size: Architecture) -> bytes:
    """`MeanNetwork.features`, cut to the latents' size, and the means of the checkerboard's first half, which
    need nothing else. Halves are those of `rdpcodec.engine.checkerboard`.
    """
    h = block(g, upsampled(g, "hyper", "enter"), "first", size.gated)
    features = cut(g, Gains(g)(upsampled(g, h, "up"), "gain"))
    mean = pointwise(g, half_of(g, features, 0), "leave")
    return g.serialised(
        [_images("hyper", size.hyper_latents), _SIZE, _QUALITY],
        [(_images("features", size.prior), features), (_images("mean", size.latents), mean)],
    )


def _second_means(g: Graph, size: Architecture) -> bytes:
    """The means of the second half, from the features and the anchors, which are zero in the second half.

    From the depthwise convolution on, only the positions of the second half are computed.
    """
    x = g.op("Add", "features", pointwise(g, "anchors", "context_enter"))
    h = silu(g, pointwise(g, x, "context.spatial_in", gain=4.0))
    # Odd columns in even rows, then even columns in odd rows. Beyond an edge are zeros.
    sides = [depthwise(g, h, "context", strides=[2, 2], pads=pads) for pads in ([1, 0, 1, 2], [0, 1, 2, 1])]
    h = pointwise(g, g.op("Concat", *sides, axis=3), "context.spatial_out", gain=0.25)
    h = channels_mixed(g, g.op("Add", h, half_of(g, x, 1)), "context", size.gated)
    mean = pointwise(g, h, "context_leave")
    inputs = [_images("features", size.prior), _images("anchors", size.latents)]
    return g.serialised(inputs, [(_images("mean", size.latents), mean)])


def _synthesis(g: Graph, size: Architecture) -> bytes:
    """`Synthesis.forward`."""
    gain = Gains(g)
    y = gain("latents", "gain")
    h = gain(pointwise(g, y, "enter"), "sixteenth_gain")
    wider = upsampled(g, blocks(g, h, "sixteenth", size.synthesis_blocks[1], size.gated), "up")
    if size.gated:
        wider = g.op("Add", wider, upsampled(g, h, "shortcut"))
    h = blocks(g, gain(wider, "eighth_gain"), "eighth", size.synthesis_blocks[0], size.gated)
    bypass = pointwise(g, y, "bypass", gain=STEP_MIDDLE / 255 * PATCH_VALUES**-0.5)
    x = g.op("Add", upsampled(g, h, "leave", 8), shuffled(g, bypass, 3, PATCH))
    x = g.op("Add", x, g.constant(0.5))
    return g.serialised([_images("latents", size.latents), _QUALITY], [(_images("pixels", 3), x)])
