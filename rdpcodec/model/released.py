"""The tensors of a release ⇄ torch's networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rdpcodec.entropy.tables import TableFamily
from rdpcodec.errors import WeightsError
from rdpcodec.model import scale_network
from rdpcodec.model.rdp_model import RdpModel
from rdpcodec.model.transforms import Synthesis
from rdpcodec.weights.release import ReleasedModel
from rdpcodec.weights.tensors import CONTEXT_PREFIX, ENCODER_PREFIXES, REALISM_PREFIX

_INTEGER_NETWORK = "scale_network."
_ENTER_UNIT = scale_network.WEIGHT_UNIT * scale_network.HYPER_LATENT_UNIT
_HIDDEN_UNIT = scale_network.WEIGHT_UNIT * scale_network.ACTIVATION_UNIT


def networks(released: ReleasedModel, device: torch.device) -> tuple[RdpModel, Synthesis | None]:
    """The networks of a release on a device, float32 and frozen, and its realism synthesis if it has one.

    The scale network among them is that of training; `released.scale` has its integers. A model that makes no
    files may lack the encoder, whose weights are then of no use. Raises `WeightsError` when tensors and
    architecture do not fit together.
    """
    tensors = {name: torch.from_numpy(array.copy()) for name, array in released.tensors.items()}
    network, realism = RdpModel(released.architecture).float(), None
    try:
        absent, unknown = network.load_state_dict(training_state(tensors), strict=released.encodes)
        if unknown or not all(name.startswith(ENCODER_PREFIXES) for name in absent):
            raise WeightsError(f"model {released.name!r}: its tensors are not those of its architecture")
        if weights := realism_state(tensors):
            realism = Synthesis(released.architecture).float()
            realism.load_state_dict(weights)
            realism.to(device, torch.float32).eval().requires_grad_(False)
    except RuntimeError as error:
        raise WeightsError(f"model {released.name!r}: {error}") from error
    return network.to(device, torch.float32).eval().requires_grad_(False), realism


def arrays(tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Tensors as `ReleasedModel.from_tensors` takes them."""
    return {name: tensor.numpy(force=True) for name, tensor in tensors.items()}


def training_state(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of an `RdpModel`, float32, from a release file: what further training starts from.

    A state dict is returned as it is.
    """
    if "scale.enter" not in tensors:
        return tensors
    others = ("scale.", "tables.", CONTEXT_PREFIX, REALISM_PREFIX)
    state = {name: t.float() for name, t in tensors.items() if not name.startswith(others)}

    def put(name: str, tensor: Tensor, unit: float) -> None:
        state[_INTEGER_NETWORK + name] = tensor.float() * unit

    put("enter.weight", tensors["scale.enter"], scale_network.WEIGHT_UNIT)
    put("enter.bias", tensors["scale.enter_bias"], _ENTER_UNIT)
    for i in range(3):
        put(f"filters.{i}.weight", tensors[f"scale.filters.{i}"][:, None], scale_network.WEIGHT_UNIT)
    for i in range(2):
        put(f"widen.{i}.weight", tensors[f"scale.widen.{i}"], scale_network.WEIGHT_UNIT)
        put(f"widen.{i}.bias", tensors[f"scale.widen_bias.{i}"][None], _HIDDEN_UNIT)
    put("leave.weight", tensors["scale.leave"], scale_network.WEIGHT_UNIT)
    put("leave.bias", tensors["scale.leave_bias"], _HIDDEN_UNIT)
    return state


def realism_state(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of the realism synthesis, float32, from a release file; empty if it has none."""
    return {
        name.removeprefix(REALISM_PREFIX): tensor.float()
        for name, tensor in tensors.items()
        if name.startswith(REALISM_PREFIX)
    }


@torch.no_grad()
def scale_tensors(network: scale_network.ScaleNetwork) -> dict[str, Tensor]:
    """The integers of a trained scale network, under their names in a release file."""

    def int8(layer: Any) -> Tensor:
        return layer.integer_weight().to(torch.int8).contiguous()

    def int32(layer: Any, unit: float) -> Tensor:
        return layer.integer_bias(unit).to(torch.int32).contiguous()

    tensors = {
        "scale.enter": int8(network.enter),
        "scale.enter_bias": int32(network.enter, _ENTER_UNIT),
        "scale.leave": int8(network.leave),
        "scale.leave_bias": int32(network.leave, _HIDDEN_UNIT),
    }
    for i, layer in enumerate(network.filters):
        tensors[f"scale.filters.{i}"] = int8(layer)[:, 0].contiguous()
    for i, layer in enumerate(network.widen):
        tensors[f"scale.widen.{i}"] = int8(layer)
        tensors[f"scale.widen_bias.{i}"] = int32(layer, _HIDDEN_UNIT)[0].contiguous()
    return tensors


def release_tensors(model: RdpModel, dtype: torch.dtype) -> dict[str, Tensor]:
    """The tensors of a release without its tables: integers of the scale network, everything else as `dtype`.

    The parameters that only training uses stay float32.
    """
    tensors = scale_tensors(model.scale_network)
    for name, parameter in model.named_parameters():
        if not name.startswith("scale_network."):
            training_only = name.startswith(("hyper_prior.", "residual_density."))
            tensors[name] = parameter.detach().to(torch.float32 if training_only else dtype).contiguous()
    return tensors


def table_tensors(name: str, family: TableFamily) -> dict[str, Tensor]:
    """A table family under its names in a release file."""
    return {
        f"tables.{name}.frequencies": torch.from_numpy(family.frequencies),
        f"tables.{name}.reach": torch.from_numpy(family.reach),
    }
