"""What further training starts from: networks of a run or of a release, and the training behind them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor

from rdpcodec.errors import UsageError
from rdpcodec.model.rdp_model import RdpModel
from rdpcodec.model.released import arrays, realism_state, training_state
from rdpcodec.model.transforms import Synthesis
from rdpcodec.training.checkpoints.checkpoint import UNFIT, averaged_model, load_checkpoint
from rdpcodec.training.checkpoints.totals import Totals, totals_of
from rdpcodec.training.export.weights_folder import read_manifest
from rdpcodec.weights.architecture import architecture_from
from rdpcodec.weights.tensors import BITSTREAM_PREFIXES, fingerprint


class Start(NamedTuple):
    """A model, its realism synthesis if it has one, and the training behind each; a new model has neither.

    bitstream: the fingerprint of released weights; None for those of a run.
    """

    model: RdpModel
    totals: Totals = Totals()
    realism: Synthesis | None = None
    realism_totals: Totals = Totals()
    bitstream: str | None = None

    def realism_synthesis(self) -> Synthesis:
        """A realism synthesis to train: the one there is, or else a copy of the fidelity synthesis."""
        return (self.realism or copy.deepcopy(self.model.synthesis)).requires_grad_(True)


def load_start(path: Path, previous: Path | None = None) -> Start:
    """Read what further training starts from, onto the CPU: a run's averaged weights, or released ones.

    path: a checkpoint (`.pt`), a folder of its pieces, or safetensors. The manifest beside safetensors names
    their architecture; without a manifest it is that of `fast`. previous: weights whose realism synthesis is
    carried over where those of `path` have none. Raises `UsageError` when they do not fit.
    """
    try:
        start = _of_run(path) if path.suffix == ".pt" or path.is_dir() else _of_release(path)
    except UNFIT as error:
        raise UsageError(f"{path}: cannot start from these weights: {error}") from error
    return _carried_over(start, previous) if start.realism is None and previous is not None else start


def _of_run(path: Path) -> Start:
    """A fidelity run's checkpoint, whole or in pieces."""
    state = load_checkpoint(path, torch.device("cpu"))
    if "realism" in state:
        raise UsageError(f"{path}: is of a realism run: export it, and start from the weights")
    model = averaged_model(state)
    realism = _realism_of(model, state.get("realism_average", {}))
    return Start(model, totals_of(state), realism, totals_of(state, "realism_totals"))


def _of_release(path: Path) -> Start:
    """Released weights, or the state dict of a model."""
    record = _record_of(path)
    if not record.get("encodes", True):
        raise UsageError(f"{path}: these weights only decode, and training starts from complete ones")
    model, tensors = RdpModel(architecture_from(record["architecture"]) if record else None), load_file(path)
    model.load_state_dict(training_state(tensors))
    return Start(
        model,
        Totals.of(record.get("training", {})),
        _realism_of(model, realism_state(tensors)),
        Totals.of(record.get("realism", {}).get("training", {})),
        fingerprint(arrays(tensors), BITSTREAM_PREFIXES),
    )


def _record_of(path: Path) -> dict[str, Any]:
    """A release file's entry in the manifest beside it, empty if there is none."""
    models: dict[str, dict[str, Any]] = read_manifest(path.parent)["models"]
    return next((record for record in models.values() if record.get("file") == path.name), {})


def _realism_of(model: RdpModel, state: dict[str, Tensor]) -> Synthesis | None:
    """The realism synthesis with the weights `state`; None if that is empty."""
    if not state:
        return None
    synthesis = copy.deepcopy(model.synthesis)
    synthesis.load_state_dict(state)
    return synthesis


def _carried_over(start: Start, previous: Path) -> Start:
    """A start with the realism synthesis of the `previous` weights that its model was trained from.

    It lies halfway between the old realism synthesis and that synthesis moved as the fidelity synthesis has
    moved since. Raises `UsageError` when `previous` has no realism synthesis, or one of another size.
    """
    old = load_start(previous)
    if old.realism is None:
        raise UsageError(f"{previous}: these weights have no realism synthesis to start from")
    if old.model.architecture != start.model.architecture:
        raise UsageError(f"{previous}: these weights are of another size than those they should continue in")
    now, before = start.model.synthesis.state_dict(), old.model.synthesis.state_dict()
    moved = {k: tensor + (now[k] - before[k]) / 2 for k, tensor in old.realism.state_dict().items()}
    return start._replace(realism=_realism_of(start.model, moved), realism_totals=old.realism_totals)
