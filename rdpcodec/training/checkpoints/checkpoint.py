"""Checkpoints: written whole or not at all, and enough to go on exactly where a run stopped."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from rdpcodec.errors import UsageError, reason
from rdpcodec.files.whole_files import replace_file
from rdpcodec.model.rdp_model import RdpModel
from rdpcodec.training.checkpoints.pieces import joined
from rdpcodec.weights.architecture import architecture_from

# Raised for weights that cannot be read or that belong to another network.
UNFIT = (OSError, SafetensorError, RuntimeError, LookupError, TypeError, AttributeError)


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` to `path` atomically: a reader sees the old file or the new one, never half of one."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    replace_file(path, buffer.getvalue())


def load_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """Read a checkpoint from `save_checkpoint`, or a folder of its pieces.

    Only tensors and plain values are loaded, never code. Raises `UsageError` when it is missing or damaged.
    """
    if path.is_dir():
        return joined(path)
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read as a checkpoint: {reason(error)}") from error
    except Exception as error:  # damaged files raise a dozen kinds, and torch advises to run what they hold
        raise UsageError(f"{path}: cannot be read as a checkpoint: damaged, or something else") from error
    if not isinstance(state, dict):
        raise UsageError(f"{path}: is not a checkpoint")
    return state


def load_run(path: Path) -> dict[str, Any]:
    """Read the checkpoint of a run, or a folder of its pieces, onto the CPU.

    Raises `UsageError` when it is missing, damaged, or not the checkpoint of a run.
    """
    state = load_checkpoint(path, torch.device("cpu"))
    if not state.keys() >= {"architecture", "average"}:
        raise UsageError(f"{path}: is not a checkpoint of a run")
    return state


def averaged_model(state: dict[str, Any]) -> RdpModel:
    """The model of a fidelity run's checkpoint, with its averaged weights."""
    model = RdpModel(architecture_from(state["architecture"]))
    model.load_state_dict({**state["model"], **state["average"]})
    return model


def load_discriminator(path: Path, discriminator: nn.Module) -> None:
    """Load a realism run's discriminator from its checkpoint. Raises `UsageError` when none fits."""
    try:
        discriminator.load_state_dict(load_checkpoint(path, torch.device("cpu"))["discriminator"])
    except UNFIT as error:
        raise UsageError(f"{path}: no discriminator to continue with: {error}") from error
