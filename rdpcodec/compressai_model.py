"""Our model with CompressAI's interface, so that its evaluation and training tools run on it.

    import torch
    from rdpcodec.compressai_model import RdpCompressionModel  # registers "rdpcodec"

    model = RdpCompressionModel(quality=40).eval()
    coded = model.compress(torch.rand(1, 3, 64, 64))  # {"strings": [[bytes, …]], "shape": (h, w)}

Needs the extra `compressai`. Strings are whole .rdpc files, so the bytes that CompressAI counts are those of
the files. They are made and decoded on the CPU in float32, by networks of their own, wherever the model is
moved and whatever it is cast to (`--cuda`, `--half`). After training, `update(force=True)` renews these, and
after `load_state_dict`, `update()` does. The codec then has no context network, and files are larger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from compressai.models.base import CompressionModel
from compressai.registry import register_model
from torch import Tensor

from rdpcodec.codec import Codec
from rdpcodec.engine.torch import mixed
from rdpcodec.errors import UsageError
from rdpcodec.format.tiles import PATCH
from rdpcodec.model.rdp_model import RdpModel
from rdpcodec.model.released import arrays, release_tensors, table_tensors
from rdpcodec.model.transforms import Synthesis
from rdpcodec.operating_point import OperatingPoint
from rdpcodec.training.export.counting import wide_tables
from rdpcodec.weights.architecture import Architecture
from rdpcodec.weights.manifest import DEFAULT_MODEL
from rdpcodec.weights.release import ReleasedModel
from rdpcodec.weights.tensors import REALISM_PREFIX


@register_model("rdpcodec")
class RdpCompressionModel(CompressionModel):
    """The model at one quality. CompressAI's models have one quality each; ours follows `quality`."""

    def __init__(
        self, quality: float = 50.0, *, realism: float = 0.0, model: str | None = DEFAULT_MODEL
    ) -> None:
        """quality: 0..100. realism: 0..1, for decoding. model: released weights by name; None for an
        untrained network of the default sizes.
        """
        super().__init__()
        self.quality, self.realism = quality, realism
        self._codec = None if model is None else Codec(model, engine="torch")
        self.network: RdpModel
        self.realism_synthesis: Synthesis | None
        if self._codec is None:
            self.network, self.realism_synthesis = RdpModel(), None
        else:
            engine = self._codec.engine.with_gradients()
            # Copies: what moves, casts or trains this module must not reach into the codec.
            self.network, self.realism_synthesis = deepcopy((engine.network, engine.realism_synthesis))

    @classmethod
    def from_state_dict(cls, state_dict: dict[str, Tensor]) -> RdpCompressionModel:
        """A model with the sizes of the given weights. Call `update` before it codes anything."""
        own = cls(model=None)
        prefix = "network."
        weights = {name.removeprefix(prefix): tensor for name, tensor in state_dict.items()}
        architecture = _architecture(weights)
        own.network = RdpModel(architecture)
        if any(name.startswith("realism_synthesis.") for name in state_dict):
            own.realism_synthesis = Synthesis(architecture)
        own.load_state_dict(state_dict)
        return own

    def forward(self, x: Tensor) -> dict[str, Any]:
        """x: `[B, 3, H, W]` in [0, 1], sides multiples of 64.

        Returns the decoded images `x_hat` and `likelihoods` of latents `y` and hyper-latents `z`: with
        noise in training, rounded otherwise. All is computed in float32, which rates need; `x_hat` is of x's
        type. Raises `UsageError` for a realism that the weights lack, and in training of a model that was
        cast.
        """
        if self.realism and self.realism_synthesis is None:
            raise UsageError(f"realism {self.realism}: the model has no realism synthesis: leave it at 0")
        network, realism_synthesis = self._in_float32()
        quality = torch.full((len(x),), float(self.quality), device=x.device)
        latents = network.analyse(x.float(), quality, by_rate=not self.training)
        bits_y, bits_z = network.information(latents, quality, noisy=self.training)
        x_hat = mixed(network.synthesis, realism_synthesis, latents.rounded, quality, self.realism)
        return {
            "x_hat": x_hat.to(x.dtype),
            "likelihoods": {"y": torch.exp2(-bits_y), "z": torch.exp2(-bits_z)},
        }

    def _in_float32(self) -> tuple[RdpModel, Synthesis | None]:
        """The networks, as copies if the model was cast."""
        own = self.network, self.realism_synthesis
        if next(self.parameters()).dtype is torch.float32:
            return own
        if self.training:
            raise UsageError("the model was cast, and trains in float32: call float(), and use autocast")
        network, realism_synthesis = deepcopy(own)
        return network.float(), realism_synthesis and realism_synthesis.float()

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **options: Any) -> Any:
        """Take over weights, as `torch.nn.Module` does. Call `update` before the model codes anything."""
        found = super().load_state_dict(state_dict, *args, **options)
        self._codec = None
        return found

    def update(self, scale_table: Tensor | None = None, force: bool = False, **_: Any) -> bool:
        """Make integer tables of the trained densities, if there are none yet. Returns whether it did.

        scale_table is CompressAI's, and is ignored: our tables are part of the model.
        """
        if self._codec is not None and not force:
            return False
        network = deepcopy(self.network).cpu().float()
        latents, hyper = wide_tables(network)
        tensors = release_tensors(network, torch.float32)
        tensors |= table_tensors("latents", latents) | table_tensors("hyper", hyper)
        if self.realism_synthesis is not None:
            state = self.realism_synthesis.state_dict()
            tensors |= {f"{REALISM_PREFIX}{name}": tensor.float() for name, tensor in state.items()}
        released = ReleasedModel.from_tensors(DEFAULT_MODEL, network.architecture, arrays(tensors))
        self._codec = Codec(released)
        return True

    @property
    def codec(self) -> Codec:
        """The codec that makes the files. Raises `UsageError` before `update`."""
        if self._codec is None:
            raise UsageError("the model has no probability tables yet: call update() first")
        return self._codec

    def compress(self, x: Tensor) -> dict[str, Any]:
        """x: `[B, 3, H, W]` in [0, 1] → `strings`, one list with a .rdpc file per image, and `shape`."""
        pixels = (x.clamp(0, 1) * 255).round().byte().cpu()
        files = self.codec.compress_batch(list(pixels), OperatingPoint(self.quality, self.realism))
        return {"strings": [files], "shape": torch.Size(-(-side // PATCH) for side in x.shape[2:])}

    def decompress(self, strings: Sequence[Sequence[bytes]], shape: Sequence[int]) -> dict[str, Tensor]:
        """The images `x_hat` from what `compress` returned.

        The files know their size; `shape` is not used. `x_hat` is on the model's device and of its type.
        """
        images = self.codec.decompress_batch(strings[0])
        pixels = np.stack([np.asarray(image.convert("RGB")) for image in images])
        x_hat = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
        return {"x_hat": x_hat.to(next(self.parameters()))}


def _architecture(state: dict[str, Tensor]) -> Architecture:
    """The sizes of a model, from the shapes of its weights."""

    def blocks(name: str) -> int:
        return 1 + max(int(key.split(".")[2]) for key in state if key.startswith(f"{name}."))

    return Architecture(
        eighth=state["analysis.enter.mix.weight"].shape[0],
        sixteenth=state["analysis.down.mix.weight"].shape[0],
        latents=state["analysis.leave.weight"].shape[0],
        hyper_latents=state["hyper_analysis.leave.mix.weight"].shape[0],
        prior=state["mean_network.leave.weight"].shape[1],
        scale=state["scale_network.enter.weight"].shape[0],
        analysis_blocks=(blocks("analysis.eighth"), blocks("analysis.sixteenth")),
        synthesis_blocks=(blocks("synthesis.eighth"), blocks("synthesis.sixteenth")),
        gated="synthesis.shortcut.mix.weight" in state,
    )
