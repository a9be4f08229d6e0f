"""A run's weights for another machine: mostly float16, in files of less than 16 MiB.

Pieces keep the weights, their averages and the record of them. They leave out the state of the optimizers: it
is several times as large, and a warm-up rebuilds it at the cost of its steps and a few more
(bench/experiments/2026-11-large-schedule). A folder of pieces can be given wherever a checkpoint is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from rdpcodec.errors import UsageError, reason
from rdpcodec.files.whole_files import replace_file

# For the tensors in a piece. Its header takes a few kilobytes more, and a file must stay below 16 MiB.
PIECE_BYTES = 15 << 20
# Networks whose weights become integers or give logarithms of frequencies keep all of their digits.
FULL_PRECISION = ("scale_network.", "hyper_prior.", "residual_density.")
# Needed only to go on in the same run.
_LEFT_BEHIND = ("optimizers", "discriminator", "generator", "torch_generator", "settings")


def split(state: dict[str, Any], folder: Path) -> list[Path]:
    """Write a checkpoint's weights and averages as pieces in `folder`, replacing any that are there."""
    kept = {key: value for key, value in state.items() if key not in _LEFT_BEHIND}
    tensors: dict[str, Tensor] = {}
    plain: dict[str, Any] = {}
    for key, value in kept.items():
        if _is_weights(value):
            tensors |= {f"{key}/{name}": _stored(name, tensor) for name, tensor in value.items()}
        else:
            plain[key] = value
    groups = list(_groups(tensors))
    run = _digest(tensors)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("piece-*.safetensors"):
        old.unlink()
    paths = []
    for number, group in enumerate(groups, 1):
        notes = {"run": run, "pieces": str(len(groups)), "state": json.dumps(plain)}
        paths.append(folder / f"piece-{number}-of-{len(groups)}.safetensors")
        replace_file(paths[-1], save(group, notes))
    return paths


def joined(folder: Path) -> dict[str, Any]:
    """The checkpoint that the pieces in `folder` stand for: float32 on the CPU, without optimizers.

    Raises `UsageError` when there are none, some are missing or damaged, or they are from several runs.
    """
    paths = sorted(folder.glob("piece-*.safetensors"))
    notes: list[dict[str, str]] = []
    tensors: dict[str, Tensor] = {}
    for path in paths:
        try:
            with safe_open(path, "pt") as file:
                notes.append(file.metadata() or {})
                tensors |= {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise UsageError(f"{path}: is not a piece of a run: {reason(error)}") from error
    if not paths:
        raise UsageError(f"{folder}: there are no pieces of a run")
    if not notes[0].keys() >= {"run", "pieces", "state"}:
        raise UsageError(f"{paths[0]}: is not a piece of a run")
    if any(note != notes[0] for note in notes):
        raise UsageError(f"{folder}: these pieces come from several runs")
    if len(paths) != int(notes[0]["pieces"]):
        raise UsageError(f"{folder}: {len(paths)} of {notes[0]['pieces']} pieces are here: bring the others")
    if _digest(tensors) != notes[0]["run"]:
        raise UsageError(f"{folder}: these pieces are damaged: bring them again")
    state: dict[str, Any] = json.loads(notes[0]["state"])
    for name, tensor in tensors.items():
        key, _, parameter = name.partition("/")
        state.setdefault(key, {})[parameter] = tensor.float()
    return state


def _is_weights(value: Any) -> bool:
    return isinstance(value, dict) and any(isinstance(entry, Tensor) for entry in value.values())


def _stored(name: str, tensor: Tensor) -> Tensor:
    dtype = torch.float32 if name.startswith(FULL_PRECISION) else torch.float16
    return tensor.detach().to("cpu", dtype).contiguous()


def _groups(tensors: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """The tensors in order, as many at a time as fit into a piece."""
    group: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if group and sum(t.nbytes for t in group.values()) + tensor.nbytes > PIECE_BYTES:
            yield group
            group = {}
        group[name] = tensor
    yield group


def _digest(tensors: dict[str, Tensor]) -> str:
    """A digest that tells these weights from others: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()[:16]
