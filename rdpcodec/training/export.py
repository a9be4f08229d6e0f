"""A training run → a released model: rounds, proves, counts tables, measures what rounding cost, writes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from rdpcodec.codec import Codec
from rdpcodec.entropy.tables import TableFamily
from rdpcodec.errors import UsageError
from rdpcodec.image import Picture
from rdpcodec.model.rdp_model import RdpModel
from rdpcodec.model.transforms import size_name
from rdpcodec.storage import replace_file
from rdpcodec.training import counting
from rdpcodec.training.checkpoint import averaged_model, load_checkpoint
from rdpcodec.training.data import ImageSet, load_images
from rdpcodec.training.model_card import CARD, data_block, replace_block, training_block
from rdpcodec.training.totals import totals_of
from rdpcodec.weights.manifest import BITSTREAM_PREFIXES, REALISM_PREFIX, SYNTHESIS_PREFIXES, fingerprint
from rdpcodec.weights.release import (
    ReleasedModel,
    architecture_from,
    architecture_record,
    scale_tensors,
    table_family,
    table_tensors,
)

# Weights are stored as float16 where that costs less than so much PSNR, in dB.
FLOAT16_LOSS = 0.01


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


def tables_of_same_bitstream(
    tensors: dict[str, Tensor], path: Path
) -> tuple[TableFamily, TableFamily] | None:
    """The tables of the release at `path` if everything else that defines the bitstream is as in `tensors`.

    A run that trains the synthesis alone then keeps the fingerprint, and old files stay readable.
    """
    if not path.exists():
        return None
    released = load_file(path)
    for name, tensor in tensors.items():
        if name.startswith(BITSTREAM_PREFIXES):
            old = released.get(name)
            if old is None or old.dtype != tensor.dtype or not torch.equal(old, tensor):
                return None
    return table_family(released, "latents"), table_family(released, "hyper")


def mean_psnr(codec: Codec, crops: list[np.ndarray], realism: float = 0.0) -> float:
    """Mean PSNR in dB over crops and five qualities."""
    values = []
    for quality in (10.0, 30.0, 50.0, 70.0, 90.0):
        for pixels in crops:
            height, width = pixels.shape[:2]
            symbols = codec.analyse([Picture(pixels)], quality)
            decoded = codec.synthesise(symbols, quality, (width, height), realism=realism)[0]
            error = np.mean((decoded.astype(np.float64) - pixels) ** 2)
            values.append(10 * np.log10(255**2 / max(error, 1e-3)))
    return float(np.mean(values))


def held_out_crops(held_out: ImageSet) -> list[np.ndarray]:
    """Crops of validation images, uint8 `[384, 384, 3]`, on which rounding is checked."""
    crops = held_out.crops(8, counting.CALIBRATION_SIDE, torch.Generator().manual_seed(4))
    return [(crop * 255).round().byte().permute(1, 2, 0).contiguous().numpy() for crop in crops]


def export(checkpoint: Path, data: Path, name: str | None, folder: Path) -> dict[str, Any]:
    """Write `folder/<name>.safetensors`, its entry in `folder/manifest.json` and its parts of the model card;
    returns the entry. A realism run's synthesis is added to the weights that it was trained on.

    name: of the model, by default that of its size.

    Raises `ValueError` when the scale network's bounds cannot be proved, `UsageError` when a realism run
    belongs to other weights than those in the folder.
    """
    state = load_checkpoint(checkpoint, torch.device("cpu"))
    name = name or size_name(architecture_from(state["architecture"]))
    pictures, held_out = load_images(data, counting.CALIBRATION_SIDE, torch.device("cpu"))
    folder.mkdir(parents=True, exist_ok=True)
    release = _with_realism if "realism" in state else _release
    tensors, record = release(state, pictures, held_out_crops(held_out), name, folder)
    blob = save(tensors)
    record |= {"bytes": len(blob), "sha256": hashlib.sha256(blob).hexdigest()}
    manifest = _manifest(folder)
    manifest["models"][name] = record
    for target, content in (
        (folder / record["file"], blob),
        (folder / "manifest.json", (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode()),
    ):
        replace_file(target, content)
    replace_block(folder / CARD, f"training {name}", training_block(record))
    replace_block(folder / CARD, "data", data_block(data))
    return record


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"models": {}}


def _release(
    state: dict[str, Any], pictures: ImageSet, crops: list[np.ndarray], name: str, folder: Path
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and manifest entry of a fidelity run."""
    model = averaged_model(state)
    path = folder / f"{name}.safetensors"

    def codec_with(tensors: dict[str, Tensor]) -> Codec:
        return Codec(ReleasedModel.from_tensors(name, model.architecture, tensors, torch.device("cpu")))

    def with_tables(dtype: torch.dtype, families: tuple[TableFamily, TableFamily]) -> dict[str, Tensor]:
        latents, hyper = families
        return {
            **release_tensors(model, dtype),
            **table_tensors("latents", latents),
            **table_tensors("hyper", hyper),
        }

    wide = counting.wide_tables(model)
    full = mean_psnr(codec_with(with_tables(torch.float32, wide)), crops)
    half_codec = codec_with(with_tables(torch.float16, wide))
    loss = full - mean_psnr(half_codec, crops)
    dtype = torch.float16 if loss < FLOAT16_LOSS else torch.float32
    codec = half_codec if dtype == torch.float16 else codec_with(with_tables(dtype, wide))
    tables = tables_of_same_bitstream(release_tensors(model, dtype), path)
    tensors = with_tables(dtype, tables or counting.counted_tables(codec, model, pictures))
    record: dict[str, Any] = {
        "file": path.name,
        "size": size_name(model.architecture),
        "bitstream_fingerprint": fingerprint(tensors, BITSTREAM_PREFIXES),
        "synthesis_fingerprint": fingerprint(tensors, SYNTHESIS_PREFIXES),
        "architecture": architecture_record(model.architecture),
        "parameters": sum(p.numel() for p in model.parameters()),
        "dtype": str(dtype).removeprefix("torch."),
        "dials": ["quality"],
        "float16_loss_db": round(loss, 5),
        "largest_exact_sum": ReleasedModel.from_tensors(
            name, model.architecture, tensors, torch.device("cpu")
        ).scale.prove_bounds(),
        "validation_psnr_db": round(mean_psnr(codec_with(tensors), crops), 3),
        "training": totals_of(state).record(),
    }
    if "realism_average" in state:
        totals = totals_of(state, "realism_totals").record()
        return with_realism(tensors, record, state["realism_average"], crops, name, totals)
    if tables is not None:
        # The same latents: the realism synthesis goes on fitting them.
        old = _manifest(folder)["models"][name]
        if "realism" in old:
            tensors |= {k: t for k, t in load_file(path).items() if k.startswith(REALISM_PREFIX)}
            record |= {"dials": old["dials"], "realism": old["realism"]}
    return tensors, record


def _with_realism(
    state: dict[str, Any], pictures: ImageSet, crops: list[np.ndarray], name: str, folder: Path
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and manifest entry of the weights in `folder` with a realism run's synthesis."""
    record = _manifest(folder)["models"].get(name)
    if record is None or record["bitstream_fingerprint"] != state["bitstream"]:
        raise UsageError(f"{folder}: the run was trained on other weights than this folder's {name!r}")
    released = load_file(folder / record["file"])
    tensors = {k: t for k, t in released.items() if not k.startswith(REALISM_PREFIX)}
    return with_realism(tensors, record, state["average"], crops, name, totals_of(state).record())


def with_realism(
    tensors: dict[str, Tensor],
    record: dict[str, Any],
    synthesis: dict[str, Tensor],
    crops: list[np.ndarray],
    name: str,
    training: dict[str, Any],
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Release tensors without the realism dial and their entry, with a synthesis added to them.

    Stored as float16 if that costs less than `FLOAT16_LOSS`.
    """
    architecture = architecture_from(record["architecture"])

    def stored_as(dtype: torch.dtype) -> tuple[dict[str, Tensor], float]:
        realism = {f"{REALISM_PREFIX}{k}": t.to(dtype).contiguous() for k, t in synthesis.items()}
        both = {**tensors, **realism}
        codec = Codec(ReleasedModel.from_tensors(name, architecture, both, torch.device("cpu")))
        return both, mean_psnr(codec, crops, realism=1.0)

    full, full_psnr = stored_as(torch.float32)
    half, half_psnr = stored_as(torch.float16)
    loss = full_psnr - half_psnr
    tensors = half if loss < FLOAT16_LOSS else full
    realism = {
        "fingerprint": fingerprint(tensors, (REALISM_PREFIX,)),
        "parameters": sum(t.numel() for t in synthesis.values()),
        "float16_loss_db": round(loss, 5),
        "validation_psnr_db": round(half_psnr if loss < FLOAT16_LOSS else full_psnr, 3),
        "training": training,
    }
    return tensors, {**record, "dials": ["quality", "realism"], "realism": realism}
