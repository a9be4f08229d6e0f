"""Turns a training run into a released model: rounds, proves, counts, writes weights, manifest and card.

A fidelity run gives networks, scale integers and tables. The realism synthesis comes from that run, from a
realism run, or from the release that is replaced, and is added in one place.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from rdpcodec.codec import Codec
from rdpcodec.entropy.tables import TableFamily
from rdpcodec.errors import UsageError
from rdpcodec.image import ImageData
from rdpcodec.model.rdp_model import RdpModel
from rdpcodec.model.released import arrays, realism_state, release_tensors, table_tensors
from rdpcodec.training.checkpoints.checkpoint import averaged_model, load_run
from rdpcodec.training.checkpoints.totals import Totals, totals_of
from rdpcodec.training.export import counting
from rdpcodec.training.export.graphs import digests, graphs
from rdpcodec.training.export.model_card import CARD, data_block, write_blocks
from rdpcodec.training.export.retire import keep_in_step
from rdpcodec.training.export.weights_folder import read_manifest, sharing, write_models
from rdpcodec.training.images.image_set import ImageSet, load_images
from rdpcodec.weights.architecture import Architecture, architecture_from, architecture_record, size_name
from rdpcodec.weights.release import DistortionShares, ReleasedModel
from rdpcodec.weights.tensors import (
    BITSTREAM_PREFIXES,
    CONTEXT_PREFIX,
    REALISM_PREFIX,
    SYNTHESIS_PREFIXES,
    fingerprint,
    graph_path,
)

Tables = tuple[TableFamily, TableFamily]
_CPU = torch.device("cpu")
# Weights are stored as float16 if that costs less than this much PSNR, in dB.
FLOAT16_LOSS = 0.01
# Measured on this many crops.
HELD_OUT_CROPS = 8


class RealismPart(NamedTuple):
    """A realism synthesis on its way into a release."""

    state: dict[str, Tensor]
    totals: Totals


class Release(NamedTuple):
    """A release file and its entry in the manifest."""

    tensors: dict[str, Tensor]
    record: dict[str, Any]

    @property
    def bitstream(self) -> str:
        """The fingerprint of the weights that decide how its files are read."""
        return str(self.record["bitstream_fingerprint"])

    @property
    def realism(self) -> RealismPart | None:
        """Its realism synthesis, if there is one."""
        state = realism_state(self.tensors)
        return RealismPart(state, Totals.of(self.record["realism"]["training"])) if state else None


class Parts(NamedTuple):
    """What a release is made of: all of its tensors, the training behind them, and its realism synthesis."""

    architecture: Architecture
    tensors: dict[str, Tensor]
    totals: Totals
    shares: DistortionShares
    realism: RealismPart | None


def export(
    checkpoint: Path, data: Path, name: str | None, folder: Path, *, replace: bool = False
) -> dict[str, Any]:
    """Write `folder/<name>.safetensors`, its graphs and its entry in `folder/manifest.json` and in the model
    card.

    checkpoint: of a fidelity run, or of a realism run, whose synthesis is added to the weights in the folder
    that it was trained on. data: the training images. name: of the model, by default that of its size.

    Returns the entry. Raises `ValueError` when the scale network's bounds cannot be proved. Raises
    `UsageError` when the checkpoint or the list of images is something else, when a realism run belongs to
    other weights than those in the folder, when the model of that name only decodes, or when its files would
    no longer decode. `replace` allows the last.
    """
    state = load_run(checkpoint)
    name = name or size_name(architecture_from(state["architecture"]))
    folder.mkdir(parents=True, exist_ok=True)
    path, manifest = folder / f"{name}.safetensors", read_manifest(folder)
    earlier = _earlier(path, manifest["models"].get(name), state)
    said_of_images = data_block(data)  # first: it may be refused, and the rest takes minutes
    images, held_out = load_images(data, counting.CALIBRATION_SIDE, _CPU)
    parts = released_parts(state, images, held_out_crops(held_out), earlier)
    blob = save(parts.tensors)
    record = {"file": path.name, **release_record(parts, blob, earlier)}
    if earlier and earlier.bitstream != record["bitstream_fingerprint"]:
        if shared := sharing(manifest, name):
            raise UsageError(f"{folder}: {shared[0]!r} needs the weights of {name!r}: retire {name!r} first")
        if not replace:
            raise UsageError(
                f"{folder}: files of {name!r} would no longer decode: retire it first, or give --replace"
            )
    made = graphs(path.name, blob, parts.architecture)
    record["graphs"] = digests(made)
    manifest["models"][name] = record
    keep_in_step(manifest, name, made)
    files = {path: blob, **{graph_path(path, graph): x for graph, x in made.items()}}
    old = earlier.record.get("graphs", ()) if earlier else ()
    write_models(folder, manifest, files, [graph_path(path, graph) for graph in old])
    write_blocks(folder / CARD, name, record, said_of_images)
    return record


def _earlier(path: Path, record: dict[str, Any] | None, state: dict[str, Any]) -> Release | None:
    """The release that a run's replaces, if there is one. record: its entry in the manifest.

    Raises `UsageError` when it only decodes, or when a realism run was trained on other weights than these.
    """
    folder, name = path.parent, path.stem
    if record is not None and not record.get("encodes", True):
        raise UsageError(f"{folder}: {name!r} decodes files of an earlier release; give another --name")
    earlier = Release(load_file(path), record) if record is not None and path.exists() else None
    if "realism" in state and (earlier is None or earlier.bitstream != state["bitstream"]):
        raise UsageError(f"{folder}: the run was trained on other weights than this folder's {name!r}")
    return earlier


def released_parts(
    state: dict[str, Any], images: ImageSet, crops: list[np.ndarray], earlier: Release | None
) -> Parts:
    """Make the tensors of a release from a run's checkpoint and the release that is replaced.

    images: to count on. crops: see `held_out_crops`. earlier: for a realism run, the one it was trained on.
    """
    architecture = architecture_from(state["architecture"])
    realism: RealismPart | None
    if "realism" in state and earlier is not None:  # a realism run
        tensors = {k: t for k, t in earlier.tensors.items() if not k.startswith(REALISM_PREFIX)}
        totals = Totals.of(earlier.record["training"])
        shares = DistortionShares.of(earlier.record.get("distortion", {}))
        realism = RealismPart(state["average"], totals_of(state))
    else:
        tensors = fidelity_tensors(averaged_model(state), images, crops, earlier)
        totals = totals_of(state)
        shares = DistortionShares.of(state.get("distortion", {}))
        if "realism_average" in state:
            realism = RealismPart(state["realism_average"], totals_of(state, "realism_totals"))
        else:
            # If the latents are the same, the earlier realism synthesis still fits them.
            same = earlier is not None and _same(tensors, earlier.tensors, BITSTREAM_PREFIXES)
            realism = earlier.realism if earlier and same else None
    if realism is not None:
        tensors |= realism_tensors(architecture, tensors, realism.state, crops)
    return Parts(architecture, tensors, totals, shares, realism)


def release_record(parts: Parts, blob: bytes, earlier: Release | None) -> dict[str, Any]:
    """The manifest's entry for a release, without the file's name. blob: the file's bytes."""
    tensors, realism, stored = parts.tensors, parts.realism, arrays(parts.tensors)
    record: dict[str, Any] = {
        "size": size_name(parts.architecture),
        "architecture": architecture_record(parts.architecture),
        "bitstream_fingerprint": fingerprint(stored, BITSTREAM_PREFIXES),
        "synthesis_fingerprint": fingerprint(stored, SYNTHESIS_PREFIXES),
        "sha256": hashlib.sha256(blob).hexdigest(),
        "bytes": len(blob),
        "dtype": str(tensors["analysis.leave.weight"].dtype).removeprefix("torch."),
        "parameters": sum(p.numel() for p in RdpModel(parts.architecture).parameters()),
        "dials": ["quality"] if realism is None else ["quality", "realism"],
        "distortion": parts.shares._asdict(),
        "training": parts.totals.record(),
    }
    if realism is not None:
        record["realism"] = {
            "fingerprint": fingerprint(stored, (REALISM_PREFIX,)),
            "parameters": sum(t.numel() for t in realism.state.values()),
            "training": realism.totals.record(),
        }
    fingerprints = ("bitstream_fingerprint", "synthesis_fingerprint")
    if earlier and all(record[key] == earlier.record[key] for key in fingerprints):
        # Results are those of realism 0, and so still hold.
        record |= {"results": earlier.record["results"]} if "results" in earlier.record else {}
    return record


def fidelity_tensors(
    model: RdpModel, images: ImageSet, crops: list[np.ndarray], earlier: Release | None
) -> dict[str, Tensor]:
    """Make the tensors of a release without a realism synthesis: rounded, with counted tables.

    images: to count on. crops: see `held_out_crops`. earlier: the release that is replaced. If everything
    else that defines the bitstream is unchanged, its tables and its context network stay: a run that trains
    the synthesis alone keeps the fingerprint, and old files stay readable.
    """

    def with_tables(dtype: torch.dtype, tables: Tables) -> dict[str, Tensor]:
        latents, hyper = tables
        networks = release_tensors(model, dtype)
        return {**networks, **table_tensors("latents", latents), **table_tensors("hyper", hyper)}

    wide = counting.wide_tables(model)
    kinds = (torch.float32, torch.float16)
    codecs = {dtype: _codec(model.architecture, with_tables(dtype, wide)) for dtype in kinds}
    full, half = (mean_psnr(codecs[dtype], crops) for dtype in kinds)
    dtype = torch.float16 if full - half < FLOAT16_LOSS else torch.float32
    networks = release_tensors(model, dtype)
    counted = ("tables.", CONTEXT_PREFIX)
    defining = tuple(prefix for prefix in BITSTREAM_PREFIXES if prefix not in counted)
    if earlier is not None and _same(networks, earlier.tensors, defining):
        kept = {key: t for key, t in earlier.tensors.items() if key.startswith(counted)}
        return {**networks, **kept}
    return with_tables(dtype, counting.counted_tables(codecs[dtype], model, images))


def realism_tensors(
    architecture: Architecture,
    tensors: dict[str, Tensor],
    synthesis: dict[str, Tensor],
    crops: list[np.ndarray],
) -> dict[str, Tensor]:
    """Make the tensors that add a realism synthesis to those of a release.

    They are float16 if that costs less than `FLOAT16_LOSS`. synthesis: its state dict. crops: see
    `held_out_crops`.
    """

    def stored_as(dtype: torch.dtype) -> dict[str, Tensor]:
        return {f"{REALISM_PREFIX}{k}": t.to(dtype).contiguous() for k, t in synthesis.items()}

    full, half = stored_as(torch.float32), stored_as(torch.float16)
    psnr = [mean_psnr(_codec(architecture, {**tensors, **x}), crops, realism=1.0) for x in (full, half)]
    return half if psnr[0] - psnr[1] < FLOAT16_LOSS else full


def held_out_crops(held_out: ImageSet) -> list[np.ndarray]:
    """Crops of validation images, uint8 `[384, 384, 3]`, on which rounding is checked."""
    crops = held_out.crops(HELD_OUT_CROPS, counting.CALIBRATION_SIDE, torch.Generator().manual_seed(4))
    return [(crop * 255).round().byte().permute(1, 2, 0).contiguous().numpy() for crop in crops]


def mean_psnr(codec: Codec, crops: list[np.ndarray], realism: float = 0.0) -> float:
    """Mean PSNR in dB over crops, uint8 `[H, W, 3]` each, and five qualities."""
    values = []
    for quality in (10.0, 30.0, 50.0, 70.0, 90.0):
        for pixels in crops:
            height, width = pixels.shape[:2]
            symbols = codec.analyse([ImageData(pixels)], quality)
            decoded = codec.synthesise(symbols, quality, (width, height), realism=realism)[0]
            error = np.mean((decoded.astype(np.float64) - pixels) ** 2)
            values.append(10 * np.log10(255**2 / max(error, 1e-3)))
    return float(np.mean(values))


def _codec(architecture: Architecture, tensors: dict[str, Tensor]) -> Codec:
    return Codec(ReleasedModel.from_tensors(size_name(architecture), architecture, arrays(tensors)))


def _same(tensors: dict[str, Tensor], others: dict[str, Tensor], prefixes: tuple[str, ...]) -> bool:
    """Whether the tensors whose names have one of the prefixes are equal in both, bit by bit."""
    return fingerprint(arrays(tensors), prefixes) == fingerprint(arrays(others), prefixes)
