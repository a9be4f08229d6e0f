"""Which engine runs the networks: ONNX Runtime on a processor, torch on any other device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from rdpcodec.engine.memory import keep_freed_memory
from rdpcodec.errors import UsageError
from rdpcodec.extras import need_torch
from rdpcodec.weights.release import ReleasedModel

if TYPE_CHECKING:
    from rdpcodec.engine.onnx import OnnxEngine
    from rdpcodec.engine.torch import TorchEngine

EngineName = Literal["onnx", "torch"]


def make_engine(
    released: ReleasedModel, device: str, name: EngineName | None = None
) -> OnnxEngine | TorchEngine:
    """An engine with the networks of a model.

    name: the engine to use. Without a name, the device decides, and weights without graphs (from memory, or
    exported by a version that wrote none) run on torch. Raises `UsageError` for an engine or a device that
    cannot be used, `WeightsError` for weights that do not fit together.
    """
    if name is not None and name not in get_args(EngineName):
        raise UsageError(f"engine {name!r}: must be one of {', '.join(get_args(EngineName))}")
    keep_freed_memory()
    if name is None:
        name = "onnx" if device == "cpu" and released.has_graphs else "torch"
    if name == "onnx":
        if device != "cpu":
            raise UsageError(f"device {device!r}: the engine onnx runs on the cpu only")
        from rdpcodec.engine.onnx import OnnxEngine

        return OnnxEngine(released)
    need_torch(f"model {released.name!r} on device {device!r}")
    from rdpcodec.engine.torch import TorchEngine
    from rdpcodec.model.device import usable_device

    return TorchEngine(released, usable_device(device))


def check_device(device: str) -> None:
    """Raise `UsageError` unless networks can run on a device."""
    if device != "cpu":
        need_torch(f"device {device!r}")
        from rdpcodec.model.device import usable_device

        usable_device(device)
