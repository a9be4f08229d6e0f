"""A released model: how networks, integers and tables are laid out in one safetensors file.

Floating-point tensors keep the names of `RdpModel`'s parameters; `scale.*` holds the integers of the scale
network, `tables.*` the integer probability tables, `context.*` those and the integers of a context network,
`realism.*` a second synthesis. Everything here is NumPy: `rdpcodec.model.released` turns it into torch's
networks and back, `rdpcodec.training.export` makes the files, and `rdpcodec.weights.manifest` finds and
verifies them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rdpcodec.entropy.context import CONTEXT_TABLES, ContextModel, ContextWeights
from rdpcodec.entropy.integers import ScaleWeights
from rdpcodec.entropy.tables import TableFamily
from rdpcodec.errors import WeightsError, reason
from rdpcodec.weights.architecture import Architecture, architecture_from, size_name
from rdpcodec.weights.manifest import Identity, ModelEntry
from rdpcodec.weights.tensors import (
    BITSTREAM_PREFIXES,
    CONTEXT_PREFIX,
    ENCODER_PREFIXES,
    REALISM_PREFIX,
    SYNTHESIS_PREFIXES,
    fingerprint,
    open_tensors,
    verified_graphs,
)

# The graphs that every model needs to decode pixels, and those that an encoder needs besides.
DECODING_GRAPHS = frozenset({"scales", "first_means", "second_means", "synthesis"})
ENCODING_GRAPHS = frozenset({"features", "analysis", "hyper_latents"})


class DistortionShares(NamedTuple):
    """The distortion that a model was trained for: what took which share of squared error's place."""

    eyes: float = 0.5  # SSIMULACRA2
    coarse: float = 0.3  # coarse errors

    @classmethod
    def of(cls, record: Mapping[str, float]) -> DistortionShares:
        """Those that a record names, and the released weights' for others. Raises `TypeError` or `ValueError`
        unless they are shares of one whole.
        """
        shares = cls(**{name: float(share) for name, share in record.items()})
        if not (min(shares) >= 0 and sum(shares) <= 1):
            raise ValueError(f"shares {shares} of the distortion")
        return shares


@dataclass(frozen=True)
class ReleasedModel:
    """Everything a `Codec` needs from one model."""

    name: str
    fingerprint: bytes  # 4 bytes, of the bitstream-defining weights
    architecture: Architecture
    tensors: Mapping[str, np.ndarray]  # as stored
    scale: ScaleWeights
    latent_tables: TableFamily
    hyper_tables: TableFamily
    # How hyper-latents are coded by their neighbours; None for models that code each for itself.
    context: ContextModel | None = None
    # Files of ONNX graphs by name; none for weights that are not on disk.
    graphs: dict[str, Path] = field(default_factory=dict)
    # Whether it makes files, see `ModelEntry.encodes`.
    encodes: bool = True
    shares: DistortionShares = field(default_factory=DistortionShares)

    @property
    def has_realism(self) -> bool:
        """Whether there is a second synthesis."""
        return any(name.startswith(REALISM_PREFIX) for name in self.tensors)

    @property
    def has_graphs(self) -> bool:
        """Whether there are graphs for all that the model can do. Earlier versions gave them other names, and
        a pickled model may have been carried away from their files.
        """
        needed = DECODING_GRAPHS | (ENCODING_GRAPHS if self.encodes else set())
        known = {name for name, path in self.graphs.items() if path.is_file()}
        return known >= (needed | {"realism"} if self.has_realism else needed)

    @property
    def decoder_fingerprint(self) -> str:
        """The fingerprint of the weights that turn symbols into pixels, 8 hexadecimal digits."""
        return fingerprint(self.tensors, (*SYNTHESIS_PREFIXES, REALISM_PREFIX))[:8]

    @property
    def size(self) -> str:
        """The name of the networks' size in files."""
        return size_name(self.architecture)

    @property
    def weights(self) -> Identity:
        """What tells the weights apart, and what they can do."""
        return Identity(self.name, self.size, self.fingerprint, self.has_realism, self.encodes)

    @classmethod
    def load(cls, entry: ModelEntry) -> ReleasedModel:
        """Load a model of the manifest.

        Raises `WeightsError` when one of its files is damaged or does not fit.
        """
        try:
            tensors, graphs = open_tensors(entry), verified_graphs(entry)
            architecture = architecture_from(entry.record["architecture"])
            model = cls._assembled(entry.name, entry.fingerprint, architecture, tensors)
            shares = DistortionShares.of(entry.record.get("distortion", {}))
            return replace(model, graphs=graphs, encodes=entry.encodes, shares=shares)
        except (LookupError, ValueError, TypeError, AttributeError) as error:
            raise WeightsError(f"{entry.path}: do not fit together: {reason(error)}") from error

    @classmethod
    def from_tensors(
        cls, name: str, architecture: Architecture, tensors: Mapping[str, np.ndarray]
    ) -> ReleasedModel:
        """Assemble a model without graphs from the tensors of a release file, as stored.

        Raises `KeyError` or `ValueError` when they do not fit.
        """
        computed = bytes.fromhex(fingerprint(tensors, BITSTREAM_PREFIXES))[:4]
        return cls._assembled(name, computed, architecture, tensors)

    @classmethod
    def _assembled(
        cls, name: str, fingerprint: bytes, architecture: Architecture, tensors: Mapping[str, np.ndarray]
    ) -> ReleasedModel:
        """See `from_tensors`."""
        _check_shapes(tensors, architecture)
        scale, context = scale_weights(tensors), context_model(tensors)
        scale.prove_bounds()
        if context is not None:
            _check_context(context, architecture)
        return cls(
            name,
            fingerprint,
            architecture,
            tensors,
            scale,
            table_family(tensors, "latents"),
            table_family(tensors, "hyper"),
            context,
        )


def _check_shapes(tensors: Mapping[str, np.ndarray], size: Architecture) -> None:
    """Raise `ValueError` unless tensors, a few of which stand for all, have an architecture's shapes."""
    for name, shape in (
        ("analysis.down.mix.weight", (size.sixteenth, 4 * size.eighth)),
        ("mean_network.leave.weight", (size.latents, size.prior)),
        ("synthesis.enter.weight", (size.sixteenth, size.latents)),
        ("scale.enter", (size.scale, size.hyper_latents)),
        ("scale.leave", (size.latents, size.scale)),
    ):
        if name.startswith(ENCODER_PREFIXES) and name not in tensors:
            continue
        if tensors[name].shape != shape:
            raise ValueError(f"tensor {name} is {tensors[name].shape}, but its architecture needs {shape}")


def _check_context(context: ContextModel, size: Architecture) -> None:
    """Raise `ValueError` unless a context network fits an architecture and its sums are exact."""
    context.weights.check_shapes(size.hyper_latents)
    context.weights.prove_bounds()
    if len(context.tables.reach) != CONTEXT_TABLES:
        raise ValueError(f"the context network has {len(context.tables.reach)} tables, not {CONTEXT_TABLES}")


def context_model(tensors: Mapping[str, np.ndarray]) -> ContextModel | None:
    """The context network and its tables from a release file's tensors; None for a release without."""
    if not any(name.startswith(CONTEXT_PREFIX) for name in tensors):
        return None
    frequencies, reach = (tensors[f"{CONTEXT_PREFIX}tables.{name}"] for name in ("frequencies", "reach"))
    return ContextModel(context_weights(tensors), TableFamily(frequencies, reach, escape=True))


def context_weights(tensors: Mapping[str, np.ndarray]) -> ContextWeights:
    """The integers of the context network from a release file's tensors."""
    names = ("enter", "enter_bias", "hidden", "hidden_bias", "leave", "leave_bias")
    return ContextWeights(*(tensors[f"{CONTEXT_PREFIX}{name}"] for name in names))


def table_family(tensors: Mapping[str, np.ndarray], name: str) -> TableFamily:
    """The tables of `latents` or `hyper` from a release file's tensors."""
    frequencies, reach = tensors[f"tables.{name}.frequencies"], tensors[f"tables.{name}.reach"]
    return TableFamily(frequencies, reach, escape=name == "latents")


def scale_weights(tensors: Mapping[str, np.ndarray]) -> ScaleWeights:
    """The integers of the scale network from a release file's tensors."""

    def array(name: str) -> np.ndarray:
        return tensors[f"scale.{name}"]

    return ScaleWeights(
        array("enter"),
        array("enter_bias"),
        (array("filters.0"), array("filters.1"), array("filters.2")),
        (array("widen.0"), array("widen.1")),
        (array("widen_bias.0"), array("widen_bias.1")),
        array("leave"),
        array("leave_bias"),
    )
