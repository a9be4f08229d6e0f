"""A training run → a released model: rounds, proves, counts tables, measures what rounding cost, writes.

`rdpcodec export`, or `python -m rdpcodec.training.export`. The tables are counted on the training images at
all qualities: they are then the best static code for what the model really emits, not for the density it was
trained under.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from rdpcodec.codec import Codec
from rdpcodec.entropy.tables import KNOTS, TableFamily, integer_frequencies
from rdpcodec.errors import RdpError, UsageError
from rdpcodec.image import Picture
from rdpcodec.model.prior import HYPER_LATENT_MAX, SCALE_COUNT
from rdpcodec.model.rdp_model import RdpModel
from rdpcodec.model.transforms import SIZES
from rdpcodec.symbols import Symbols, hyper_bank
from rdpcodec.training.checkpoint import load_checkpoint, run_history, start_of
from rdpcodec.training.data import Pictures, load_pictures
from rdpcodec.training.model_card import CARD, data_block, replace_block, training_block
from rdpcodec.weights.manifest import BITSTREAM_PREFIXES, REALISM_PREFIX, SYNTHESIS_PREFIXES, fingerprint
from rdpcodec.weights.release import (
    ReleasedModel,
    architecture_from,
    architecture_record,
    scale_tensors,
    table_family,
    table_tensors,
)

CALIBRATION_SIDE = 384
CALIBRATION_CROPS = 1200
# Weight of the trained density beside the counts, in symbols: decides where counts are few, vanishes where
# they are many.
PRIOR_SYMBOLS = 400.0
# A table ends where less than this share of its symbols lies beyond; an escape costs about 15 + 16 bits.
ESCAPE_SHARE = 2e-5
# Weights are stored as float16 where that costs less than so much PSNR, in dB.
FLOAT16_LOSS = 0.01
COUNTED_REACH = 2048


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


def density_tables(model: RdpModel) -> tuple[np.ndarray, np.ndarray]:
    """The trained densities at the integers: latents `[64, COUNTED_REACH + 1]` for |r|, hyper-latents `[8, M,
    255]`.
    """
    with torch.no_grad():
        magnitudes = torch.arange(COUNTED_REACH + 1.0).expand(SCALE_COUNT, -1)
        index = torch.arange(float(SCALE_COUNT))[:, None].expand_as(magnitudes)
        latents = torch.exp2(-model.residual_density(magnitudes, index))
        values = torch.arange(-HYPER_LATENT_MAX, HYPER_LATENT_MAX + 1.0)
        channels = model.architecture.hyper_latents
        grid = values.expand(KNOTS, channels, -1)[..., None]
        bits = model.hyper_prior.bits(grid, torch.linspace(0, 100, KNOTS))
    return latents.double().numpy(), torch.exp2(-bits[..., 0]).double().numpy()


def wide_tables(model: RdpModel) -> tuple[TableFamily, TableFamily]:
    """Tables straight from the trained densities, wide enough for counting with them."""
    latents, hyper = density_tables(model)
    counts_latents = np.zeros_like(latents)
    counts_hyper = np.zeros_like(hyper)
    counts_hyper[:, :, [0, -1]] = 1e-9  # keeps the full reach
    return latent_family(counts_latents, latents), hyper_family(counts_hyper, hyper)


def latent_family(counts: np.ndarray, density: np.ndarray) -> TableFamily:
    """Symmetric tables with an escape from counts of |residual| and the trained density, both `[64,
    COUNTED_REACH + 1]`.
    """
    parts, reaches = [], []
    for count, prior in zip(counts, density, strict=True):
        two_sided = prior * np.where(np.arange(len(prior)) == 0, 1.0, 2.0)
        weight = count + PRIOR_SYMBOLS * two_sided / two_sided.sum()
        share = weight / weight.sum()
        tail = 1.0 - np.cumsum(share)
        reach = int(np.argmax(tail < ESCAPE_SHARE)) or 1
        half = share[1 : reach + 1] / 2
        table = np.concatenate([half[::-1], share[:1], half, [max(tail[reach], 1e-7)]])
        parts.append(integer_frequencies(table))
        reaches.append(reach)
    return TableFamily(np.concatenate(parts), np.array(reaches, np.int32), escape=True)


def hyper_family(counts: np.ndarray, density: np.ndarray) -> TableFamily:
    """Tables without escape from counts and density `[8, M, 255]`; two beyond the furthest value seen."""
    parts, reaches = [], []
    values = np.abs(np.arange(-HYPER_LATENT_MAX, HYPER_LATENT_MAX + 1))
    shape = (-1, counts.shape[2])
    for count, prior in zip(counts.reshape(shape), density.reshape(shape), strict=True):
        seen = values[count > 0].max(initial=0)
        reach = int(min(seen + 2, HYPER_LATENT_MAX))
        inside = values <= reach
        parts.append(integer_frequencies((count + PRIOR_SYMBOLS / 8 * prior / prior.sum())[inside]))
        reaches.append(reach)
    return TableFamily(np.concatenate(parts), np.array(reaches, np.int32), escape=False)


def calibration_symbols(codec: Codec, pictures: Pictures) -> Iterator[tuple[Symbols, float]]:
    """Symbols of crops of the images, the qualities spread evenly over the dial."""
    generator = torch.Generator().manual_seed(3)
    for number in range(CALIBRATION_CROPS):
        crop = pictures.crops(1, CALIBRATION_SIDE, generator)[0]
        pixels = (crop * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
        quality = 100 * (number * 0.6180339887 % 1)
        (symbols,) = codec.analyse([Picture(pixels)], quality)[0]
        yield symbols, quality


def counted_tables(codec: Codec, model: RdpModel, pictures: Pictures) -> tuple[TableFamily, TableFamily]:
    """Tables counted on what `codec` makes of training images."""
    density_latents, density_hyper = density_tables(model)
    latents, hyper = np.zeros_like(density_latents), np.zeros_like(density_hyper)
    channels = np.arange(hyper.shape[1])[:, None]
    for symbols, quality in calibration_symbols(codec, pictures):
        magnitude = np.minimum(np.abs(symbols.residual), COUNTED_REACH)
        np.add.at(latents, (symbols.tables, magnitude), 1)
        z = symbols.hyper.reshape(len(channels), -1)
        np.add.at(hyper[hyper_bank(quality)], (channels, z + HYPER_LATENT_MAX), 1)
    return latent_family(latents, density_latents), hyper_family(hyper, density_hyper)


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


def training_record(state: dict[str, Any], note: str) -> dict[str, Any]:
    """What a checkpoint says about the training that made it: every run since the start, and their sum."""
    runs = run_history(state)
    if note:
        runs[-1]["note"] = note
    sums = {key: round(sum(run[key] for run in runs), 3) for key in ("hours", "gigapixels")}
    return {**sums, "runs": runs}


def held_out_crops(held_out: Pictures) -> list[np.ndarray]:
    """Crops of validation images, uint8 `[384, 384, 3]`, on which rounding is checked."""
    crops = held_out.crops(8, CALIBRATION_SIDE, torch.Generator().manual_seed(4))
    return [(crop * 255).round().byte().permute(1, 2, 0).contiguous().numpy() for crop in crops]


def export(checkpoint: Path, data: Path, name: str | None, folder: Path, note: str = "") -> dict[str, Any]:
    """Write `folder/<name>.safetensors`, its entry in `folder/manifest.json` and its parts of the model card;
    returns the entry. A realism run's synthesis is added to the weights that it was trained on.

    name: of the model, by default that of its size. note: goes into the record of this run.

    Raises `ValueError` when the scale network's bounds cannot be proved, `UsageError` when a realism run
    belongs to other weights than those in the folder, or a size has no name.
    """
    state = load_checkpoint(checkpoint, torch.device("cpu"))
    name = name or size_name(state)
    pictures, held_out = load_pictures(data, CALIBRATION_SIDE, torch.device("cpu"))
    folder.mkdir(parents=True, exist_ok=True)
    release = _with_realism if "realism" in state else _release
    tensors, record = release(state, pictures, held_out_crops(held_out), name, folder, note)
    blob = save(tensors)
    record |= {"bytes": len(blob), "sha256": hashlib.sha256(blob).hexdigest()}
    manifest = _manifest(folder)
    manifest["models"][name] = record
    for target, content in (
        (folder / record["file"], blob),
        (folder / "manifest.json", (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode()),
    ):
        partial = target.with_name(target.name + ".partial")
        partial.write_bytes(content)
        os.replace(partial, target)
    replace_block(folder / CARD, f"training {name}", training_block(record))
    replace_block(folder / CARD, "data", data_block(data))
    return record


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"models": {}}


def _release(
    state: dict[str, Any], pictures: Pictures, crops: list[np.ndarray], name: str, folder: Path, note: str
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and manifest entry of a fidelity run."""
    model = start_of(state)
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

    wide = wide_tables(model)
    full = mean_psnr(codec_with(with_tables(torch.float32, wide)), crops)
    half_codec = codec_with(with_tables(torch.float16, wide))
    loss = full - mean_psnr(half_codec, crops)
    dtype = torch.float16 if loss < FLOAT16_LOSS else torch.float32
    codec = half_codec if dtype == torch.float16 else codec_with(with_tables(dtype, wide))
    tables = tables_of_same_bitstream(release_tensors(model, dtype), path)
    tensors = with_tables(dtype, tables or counted_tables(codec, model, pictures))
    record: dict[str, Any] = {
        "file": path.name,
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
        "training": training_record(state, note),
    }
    if "realism_average" in state:
        learnt = {**state, "history": state["realism_history"]}
        return with_realism(
            tensors, record, state["realism_average"], crops, name, training_record(learnt, note)
        )
    if tables is not None:
        # The same latents: the realism synthesis goes on fitting them.
        old = _manifest(folder)["models"][name]
        if "realism" in old:
            tensors |= {k: t for k, t in load_file(path).items() if k.startswith(REALISM_PREFIX)}
            record |= {"dials": old["dials"], "realism": old["realism"]}
    return tensors, record


def _with_realism(
    state: dict[str, Any], pictures: Pictures, crops: list[np.ndarray], name: str, folder: Path, note: str
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and manifest entry of the weights in `folder` with a realism run's synthesis."""
    record = _manifest(folder)["models"].get(name)
    if record is None or record["bitstream_fingerprint"] != state["bitstream"]:
        raise UsageError(f"{folder}: the run was trained on other weights than this folder's {name!r}")
    released = load_file(folder / record["file"])
    tensors = {k: t for k, t in released.items() if not k.startswith(REALISM_PREFIX)}
    return with_realism(tensors, record, state["average"], crops, name, training_record(state, note))


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


def size_name(state: dict[str, Any]) -> str:
    """The name of the size of a checkpoint's model. Raises `UsageError` where that has none."""
    architecture = architecture_from(state["architecture"])
    for name, size in SIZES.items():
        if architecture == size:
            return name
    raise UsageError(f"no size is called {architecture}: give the model's --name")


def main(arguments: list[str] | None = None, prog: str = "python -m rdpcodec.training.export") -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog=prog, description="Make released weights of a training run.")
    parser.add_argument("checkpoint", type=Path, help="the run's checkpoint.pt")
    parser.add_argument("folder", type=Path, help="folder of weights and manifest")
    parser.add_argument("--data", type=Path, required=True, help="the training images, to count tables on")
    parser.add_argument("--name", help="of the model; by default that of its size")
    parser.add_argument("--note", default="", help="a word on the run for the training record")
    options = parser.parse_args(arguments)
    try:
        record = export(options.checkpoint, options.data, options.name, options.folder, options.note)
    except RdpError as error:
        sys.exit(f"error: {error}")
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
