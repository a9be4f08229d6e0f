"""ONNX graphs, written node by node, with initialisers stored in a safetensors file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from onnx import NodeProto, TensorProto, helper

from rdpcodec.weights.stored import StoredTensor

Value = str
"""A result of a node, or an input, by its name in the graph."""
FLOAT, INT64, UINT8 = TensorProto.FLOAT, TensorProto.INT64, TensorProto.UINT8

# Old enough for engines from 2022 on, and for those in browsers.
_OPSET, _IR_VERSION = 17, 8
_TYPES = {"F16": TensorProto.FLOAT16, "F32": FLOAT, "I8": TensorProto.INT8, "I32": TensorProto.INT32}


class Port(NamedTuple):
    """An input or output of a graph. Dimensions given as words are free."""

    name: str
    kind: int
    shape: Sequence[str | int]


class Graph:
    """A graph in the making."""

    def __init__(self, file: str, tensors: dict[str, StoredTensor], prefix: str) -> None:
        """file: the name of a safetensors file beside the graph; prefix: that of its tensors' names."""
        self._file, self._tensors, self._prefix = file, tensors, prefix
        self._nodes: list[NodeProto] = []
        self._initializers: dict[Any, TensorProto] = {}
        self._casts: dict[str, Value] = {}

    def op(self, kind: str, *inputs: Value, **attributes: Any) -> Value:
        """Add a node with one result."""
        return self.split(kind, *inputs, results=1, **attributes)[0]

    def split(self, kind: str, *inputs: Value, results: int, **attributes: Any) -> list[Value]:
        """Add a node with several results."""
        names = [f"{len(self._nodes)}.{number}" for number in range(results)]
        self._nodes.append(helper.make_node(kind, inputs, names, **attributes))
        return names

    def constant(self, *values: float, kind: int = FLOAT, scalar: bool = False) -> Value:
        """Values stored in the graph itself, as a vector or as a scalar."""
        key = (values, kind, scalar)
        if key not in self._initializers:
            shape = [] if scalar else [len(values)]
            self._initializers[key] = helper.make_tensor(f"c{len(self._initializers)}", kind, shape, values)
        return str(self._initializers[key].name)

    def has(self, name: str) -> bool:
        """Whether the file has a tensor."""
        return self._prefix + name in self._tensors

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor in the file."""
        return self._tensors[self._prefix + name].shape

    def weight(self, name: str) -> Value:
        """A tensor in the file, as float32."""
        name = self._prefix + name
        if name not in self._casts:
            stored = self._tensors[name]
            tensor = TensorProto(name=name, data_type=_TYPES[stored.kind], dims=stored.shape)
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in zip(
                ("location", "offset", "length"), (self._file, stored.start, stored.length), strict=True
            ):
                tensor.external_data.add(key=key, value=str(value))
            self._initializers[name] = tensor
            self._casts[name] = name if stored.kind == "F32" else self.op("Cast", name, to=FLOAT)
        return self._casts[name]

    def reshaped(self, value: Value, *shape: int) -> Value:
        """A value in another shape."""
        return self.op("Reshape", value, self.constant(*shape, kind=INT64))

    def clipped(self, value: Value, low: float, high: float) -> Value:
        """A value within bounds."""
        return self.op("Clip", value, self.constant(low, scalar=True), self.constant(high, scalar=True))

    def serialised(self, inputs: Sequence[Port], outputs: Sequence[tuple[Port, Value]]) -> bytes:
        """The bytes of an ONNX file. Equal graphs give equal bytes."""
        ends = [helper.make_node("Identity", [value], [port.name]) for port, value in outputs]
        graph = helper.make_graph(
            [*self._nodes, *ends],
            "rdpcodec",
            [helper.make_tensor_value_info(*port) for port in inputs],
            [helper.make_tensor_value_info(*port) for port, _ in outputs],
            list(self._initializers.values()),
        )
        model = helper.make_model(
            graph, producer_name="rdpcodec", opset_imports=[helper.make_opsetid("", _OPSET)]
        )
        model.ir_version = _IR_VERSION
        return model.SerializeToString(deterministic=True)
