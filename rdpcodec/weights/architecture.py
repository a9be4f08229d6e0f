"""The sizes of a model's networks, and their JSON form in the manifest."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rdpcodec.format.tiles import PATCH


@dataclass(frozen=True)
class Architecture:
    """The sizes of a model: channels at 1/8 and 1/16, of latents, hyper-latents, mean network (`prior`) and
    scale network (`scale`); blocks at 1/8 and at 1/16 in each stack.

    gated: blocks have a gate and no biases, and a Haar shortcut joins 1/8 and 1/16.
    """

    eighth: int = 128
    sixteenth: int = 192
    latents: int = 320
    hyper_latents: int = 96
    prior: int = 192
    scale: int = 96
    analysis_blocks: tuple[int, int] = (2, 3)
    synthesis_blocks: tuple[int, int] = (2, 3)
    gated: bool = False

    @property
    def analysis_margin(self) -> int:
        """How far the analysis sees beyond a latent, in pixels, a multiple of 16."""
        return _margin(self.analysis_blocks)

    @property
    def synthesis_margin(self) -> int:
        """How far the synthesis sees beyond a latent, in pixels, a multiple of 16."""
        return _margin(self.synthesis_blocks)


def _margin(blocks: tuple[int, int]) -> int:
    """How far a stack of blocks sees: one cell of its resolution for every block at 1/8 and 1/16."""
    return PATCH * -(-(8 * blocks[0] + 16 * blocks[1]) // PATCH)


# The sizes that files know by name (`rdpcodec.format.container.SIZE_NUMBERS`).
SIZES = {
    "fast": Architecture(),
    "base": Architecture(eighth=160, sixteenth=256, analysis_blocks=(3, 4), synthesis_blocks=(5, 6)),
    # 38 kMAC per pixel to decode, 36 MB in float16 with both syntheses (`rdpcodec.training.speed.cost`).
    "large": Architecture(
        eighth=192,
        sixteenth=320,
        hyper_latents=128,
        prior=256,
        scale=144,
        analysis_blocks=(5, 6),
        synthesis_blocks=(5, 4),
        gated=True,
    ),
}


def size_name(architecture: Architecture) -> str:
    """The name of an architecture's size in files: its name in `SIZES`, or "own"."""
    return next((name for name, size in SIZES.items() if size == architecture), "own")


def architecture_from(record: dict[str, Any]) -> Architecture:
    """An `Architecture` from its JSON form."""
    sizes: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in record.items()}
    return Architecture(**sizes)


def architecture_record(architecture: Architecture) -> dict[str, Any]:
    """An `Architecture` as JSON."""
    return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(architecture).items()}
