"""A released model: how networks, integers and tables are laid out in one safetensors file.

Floating-point tensors keep the names of `RdpModel`'s parameters; `scale.*` holds the integers of the scale
network, `tables.*` the integer probability tables, `realism.*` a second synthesis if there is one.
`rdpcodec.weights.manifest` finds and verifies files;
`rdpcodec.training.export` makes them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rdpcodec.entropy.exact import ScaleWeights
from rdpcodec.entropy.tables import TableFamily
from rdpcodec.errors import WeightsError
from rdpcodec.model import scale_network
from rdpcodec.model.rdp_model import RdpModel
from rdpcodec.model.transforms import Architecture, Synthesis, size_name
from rdpcodec.weights.manifest import (
    BITSTREAM_PREFIXES,
    REALISM_PREFIX,
    SYNTHESIS_PREFIXES,
    ModelEntry,
    fingerprint,
    load_tensors,
)

_INTEGER_NETWORK = "scale_network."
_ENTER_UNIT = scale_network.WEIGHT_UNIT * scale_network.HYPER_LATENT_UNIT
_HIDDEN_UNIT = scale_network.WEIGHT_UNIT * scale_network.ACTIVATION_UNIT


@dataclass
class ReleasedModel:
    """Everything a `Codec` needs of one model."""

    name: str
    fingerprint: bytes  # 4 bytes, of the bitstream-defining weights
    decoder_fingerprint: str  # 8 hexadecimal digits, of what turns symbols into pixels
    network: RdpModel  # its scale network is not used: `scale` is
    realism: Synthesis | None
    scale: ScaleWeights
    latent_tables: TableFamily
    hyper_tables: TableFamily

    @property
    def dials(self) -> tuple[str, ...]:
        """What a user can turn."""
        return ("quality",) if self.realism is None else ("quality", "realism")

    @property
    def size(self) -> str:
        """What files call the size of the networks."""
        return size_name(self.network.architecture)

    @classmethod
    def load(cls, entry: ModelEntry, device: torch.device) -> ReleasedModel:
        """Load a model of the manifest.

        Raises `WeightsError` when its file is damaged or does not fit together.
        """
        tensors = load_tensors(entry)
        architecture = architecture_from(entry.record["architecture"])
        try:
            return cls.from_tensors(entry.name, architecture, tensors, device)
        except (KeyError, ValueError, RuntimeError) as error:
            raise WeightsError(f"{entry.path}: {error}") from error

    @classmethod
    def from_tensors(
        cls,
        name: str,
        architecture: Architecture,
        tensors: dict[str, Tensor],
        device: torch.device,
    ) -> ReleasedModel:
        """Assemble a model from the tensors of a release file.

        Raises `KeyError`, `ValueError` or `RuntimeError`.
        """
        scale = _scale_weights(tensors)
        scale.prove_bounds()
        network = RdpModel(architecture)
        network.load_state_dict(training_state(tensors))
        network.to(device).eval().requires_grad_(False)
        realism = None
        if weights := realism_state(tensors):
            realism = Synthesis(architecture)
            realism.load_state_dict(weights)
            realism.to(device).eval().requires_grad_(False)
        bitstream = bytes.fromhex(fingerprint(tensors, BITSTREAM_PREFIXES))[:4]
        return cls(
            name,
            bitstream,
            fingerprint(tensors, (*SYNTHESIS_PREFIXES, REALISM_PREFIX))[:8],
            network,
            realism,
            scale,
            table_family(tensors, "latents"),
            table_family(tensors, "hyper"),
        )


def architecture_from(record: dict[str, Any]) -> Architecture:
    """An `Architecture` from its JSON form."""
    sizes: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in record.items()}
    return Architecture(**sizes)


def architecture_record(architecture: Architecture) -> dict[str, Any]:
    """An `Architecture` as JSON."""
    return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(architecture).items()}


def training_state(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of an `RdpModel`, float32, from a release file: what further training starts from.

    A state dict is returned as it is.
    """
    if "scale.enter" not in tensors:
        return tensors
    others = ("scale.", "tables.", REALISM_PREFIX)
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


def table_tensors(name: str, family: TableFamily) -> dict[str, Tensor]:
    """A table family under its names in a release file."""
    return {
        f"tables.{name}.frequencies": torch.from_numpy(family.frequencies),
        f"tables.{name}.reach": torch.from_numpy(family.reach),
    }


def table_family(tensors: dict[str, Tensor], name: str) -> TableFamily:
    """The tables of `latents` or `hyper` from a release file's tensors."""
    frequencies, reach = tensors[f"tables.{name}.frequencies"], tensors[f"tables.{name}.reach"]
    return TableFamily(frequencies.numpy(), reach.numpy(), escape=name == "latents")


def _scale_weights(tensors: dict[str, Tensor]) -> ScaleWeights:
    def array(name: str) -> np.ndarray:
        return tensors[f"scale.{name}"].numpy()

    return ScaleWeights(
        array("enter"),
        array("enter_bias"),
        (array("filters.0"), array("filters.1"), array("filters.2")),
        (array("widen.0"), array("widen.1")),
        (array("widen_bias.0"), array("widen_bias.1")),
        array("leave"),
        array("leave_bias"),
    )
