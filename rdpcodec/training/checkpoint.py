"""Checkpoints: written whole or not at all, and enough to go on exactly where a run stopped."""

from __future__ import annotations

import copy
import io
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from rdpcodec.errors import UsageError
from rdpcodec.model.rdp_model import RdpModel
from rdpcodec.model.released import realism_state, training_state
from rdpcodec.model.transforms import Synthesis
from rdpcodec.storage import replace_file
from rdpcodec.training.export.weights_folder import read_manifest
from rdpcodec.training.pieces import joined
from rdpcodec.training.totals import Totals, totals_of
from rdpcodec.weights.architecture import architecture_from

# Raised for weights that cannot be read or that belong to another network.
_UNFIT = (OSError, SafetensorError, RuntimeError, LookupError, TypeError, AttributeError)


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
    except Exception as error:  # damaged files raise a dozen kinds
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise UsageError(f"{path}: cannot be read as a checkpoint: {said[0]}") from error
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


def load_start(path: Path) -> RdpModel:
    """Load the model that further training starts from: a run's averaged weights, or released ones.

    path: a checkpoint (`.pt`), a folder of its pieces, or safetensors. The manifest beside safetensors names
    their architecture; without a manifest it is that of `fast`. Raises `UsageError` when they do not fit.
    """
    try:
        if _is_run(path):
            state = load_checkpoint(path, torch.device("cpu"))
            if "realism" in state:
                raise UsageError(f"{path}: is of a realism run: export it, and start from the weights")
            return averaged_model(state)
        record = released_record(path)
        if record and not record.get("encodes", True):
            raise UsageError(f"{path}: these weights only decode, and training starts from complete ones")
        model = RdpModel(architecture_from(record["architecture"]) if record else None)
        model.load_state_dict(training_state(load_file(path)))
    except _UNFIT as error:
        raise UsageError(f"{path}: cannot start from these weights: {error}") from error
    return model


def _is_run(path: Path) -> bool:
    """Whether a path is a run's checkpoint, whole or in pieces, and not released weights."""
    return path.suffix == ".pt" or path.is_dir()


def averaged_model(state: dict[str, Any]) -> RdpModel:
    """The model of a fidelity run's checkpoint, with its averaged weights."""
    model = RdpModel(architecture_from(state["architecture"]))
    model.load_state_dict({**state["model"], **state["average"]})
    return model


def load_realism_start(init: Path, model: RdpModel, previous: Path | None = None) -> Synthesis:
    """Load the realism synthesis that further training starts from, ready to be trained.

    init: what `model` was loaded from. The start is its realism synthesis if it has one, otherwise what is
    carried over from `previous` weights, otherwise the fidelity synthesis. Raises `UsageError` when the files
    do not fit.
    """
    synthesis = copy.deepcopy(model.synthesis).requires_grad_(True)
    try:
        if _is_run(init):
            start = load_checkpoint(init, torch.device("cpu")).get("realism_average", {})
        else:
            start = realism_state(load_file(init))
        if start:
            synthesis.load_state_dict(start)
        elif previous is not None:
            synthesis.load_state_dict(carried_over(previous, model))
    except _UNFIT as error:
        raise UsageError(f"{init}: cannot start from these weights: {error}") from error
    return synthesis


def load_discriminator(path: Path, discriminator: nn.Module) -> None:
    """Load a realism run's discriminator from its checkpoint. Raises `UsageError` when none fits."""
    try:
        discriminator.load_state_dict(load_checkpoint(path, torch.device("cpu"))["discriminator"])
    except _UNFIT as error:
        raise UsageError(f"{path}: no discriminator to continue with: {error}") from error


def carried_over(previous: Path, model: RdpModel) -> dict[str, Tensor]:
    """A start for the realism synthesis of `model`, from the `previous` weights that it was trained from.

    It lies halfway between the old realism synthesis and that synthesis moved as the fidelity synthesis has
    moved since. Raises `UsageError` when `previous` has no realism synthesis, or one of another size.
    """
    try:
        tensors = load_file(previous)
    except _UNFIT as error:
        raise UsageError(f"{previous}: cannot start from these weights: {error}") from error
    realism = realism_state(tensors)
    if not realism:
        raise UsageError(f"{previous}: these weights have no realism synthesis to start from")
    old = load_start(previous)
    if old.architecture != model.architecture:
        raise UsageError(f"{previous}: these weights are of another size than those they should continue in")
    now = {name: tensor.cpu() for name, tensor in model.synthesis.state_dict().items()}
    before = old.synthesis.state_dict()
    return {name: realism[name] + (now[name] - before[name]) / 2 for name in now}


def start_totals(path: Path, *, realism: bool = False) -> Totals:
    """How much training is behind what `load_start` loads, or behind its realism synthesis.

    Empty without a manifest or a realism synthesis. Raises `UsageError` for a damaged manifest or checkpoint.
    """
    if _is_run(path):
        state = load_checkpoint(path, torch.device("cpu"))
        return totals_of(state, "realism_totals" if realism else "totals")
    record = released_record(path) or {}
    trained = record.get("realism", {}) if realism else record
    return Totals.of(trained.get("training", {}))


def realism_totals(init: Path, previous: Path | None) -> Totals:
    """How much training is behind what `load_realism_start` loads."""
    own = start_totals(init, realism=True)
    return own if own != Totals() or previous is None else start_totals(previous, realism=True)


def released_record(path: Path) -> dict[str, Any] | None:
    """A release file's entry in the manifest beside it, if there is one."""
    models: dict[str, dict[str, Any]] = read_manifest(path.parent)["models"]
    return next((record for record in models.values() if record.get("file") == path.name), None)
