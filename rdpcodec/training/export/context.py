"""Adds a context network to a release, which then codes its hyper-latents in fewer bits.

The network learns from the hyper-latents of the training images as the released encoder makes them. Nothing
else of the release changes, so pixels stay the same, and files that were made before still decode.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from rdpcodec.codec import Codec
from rdpcodec.entropy.coder import Encoder
from rdpcodec.entropy.context import CONTEXT_TABLES, FRACTIONS, ContextWeights, IntegerContextNetwork
from rdpcodec.entropy.integers import HYPER_LATENT_LIMIT
from rdpcodec.entropy.tables import TableFamily, integer_frequencies
from rdpcodec.errors import UsageError
from rdpcodec.format.hyper_latents import HyperLatentCoder, coded_steps, hyper_latent_coder
from rdpcodec.image import ImageData
from rdpcodec.model.context_network import (
    SCALE_STEP,
    SMALLEST_SCALE,
    ContextNetwork,
    context_tensors,
    logistic_mass,
)
from rdpcodec.model.released import arrays
from rdpcodec.training.export.counting import ESCAPE_SHARE, PRIOR_SYMBOLS
from rdpcodec.training.export.graphs import digests, graphs
from rdpcodec.training.export.model_card import CARD, renew_training
from rdpcodec.training.export.retire import decoding_record
from rdpcodec.training.export.weights_folder import read_manifest, write_models
from rdpcodec.training.images.image_set import ImageSet, load_images
from rdpcodec.weights.architecture import architecture_from
from rdpcodec.weights.release import ReleasedModel, context_weights
from rdpcodec.weights.tensors import BITSTREAM_PREFIXES, CONTEXT_PREFIX, fingerprint, graph_path

# Smaller images have too few hyper-latents with neighbours.
SMALLEST_SIDE = 256
QUALITIES_PER_IMAGE = 5
STEPS = 8000
BATCH = 16
LEARNING_RATE = 5e-3
WARMUP = 50  # steps
FURTHEST = 2 * HYPER_LATENT_LIMIT  # what a hyper-latent can differ from its mean


class Tile(NamedTuple):
    """The hyper-latents of a tile, int32 `[M, h, w]`, and the quality that they were made for."""

    hyper: np.ndarray
    quality: float


class Saved(NamedTuple):
    """What hyper-latents of held-out images take, in bytes, without and with a context network."""

    before: int
    after: int


def add_context(name: str, folder: Path, data: Path) -> Saved:
    """Give the model `name` of a folder of weights a context network, and its files a new fingerprint.

    Files with the old fingerprint are decoded by another model of the manifest, which has the same weights.
    The model's results are removed from the manifest: they say how large files were before. data: the
    training images. Raises `UsageError` when the folder has no such model, the model makes no files, it
    already has a context network, or there are too few images; `ValueError` when the network's bounds cannot
    be proved.
    """
    manifest = read_manifest(folder)
    record = manifest["models"].get(name)
    if record is None or not record.get("encodes", True):
        raise UsageError(f"{folder}: has no model {name!r} that makes files")
    earlier = f"{record['size']}-{record['bitstream_fingerprint'][:8]}"
    if earlier in manifest["models"]:
        raise UsageError(f"{folder}: already has a model {earlier!r}, the name for files made before")
    path, size = folder / record["file"], architecture_from(record["architecture"])
    tensors = load_file(path)
    if any(key.startswith(CONTEXT_PREFIX) for key in tensors):
        raise UsageError(f"{folder}: model {name!r} already has a context network")
    codec = Codec(ReleasedModel.from_tensors(name, size, arrays(tensors)))
    training, held_out = (
        list(hyper_latents_of(codec, images))
        for images in load_images(data, SMALLEST_SIDE, torch.device("cpu"))
    )
    tensors |= context_part(training, size.hyper_latents)
    blob = save(tensors)
    made = graphs(path.name, blob, size)
    record |= {"sha256": hashlib.sha256(blob).hexdigest(), "bytes": len(blob), "graphs": digests(made)}
    record.pop("results", None)  # they say how large files were before
    manifest["models"][earlier] = {**decoding_record(record, made), "context": False}
    record["bitstream_fingerprint"] = fingerprint(arrays(tensors), BITSTREAM_PREFIXES)
    write_models(folder, manifest, {path: blob, **{graph_path(path, g): x for g, x in made.items()}}, [])
    renew_training(folder / CARD, name, record)
    released = ReleasedModel.from_tensors(name, size, arrays(tensors))
    before, after = (
        coded_bytes(hyper_latent_coder(released.hyper_tables, context), held_out)
        for context in (None, released.context)
    )
    return Saved(before, after)


def context_part(tiles: Sequence[Tile], hyper_latents: int) -> dict[str, Tensor]:
    """The tensors that a context network adds to a release: its integers, and tables counted with them."""
    tensors = context_tensors(fitted(tiles, hyper_latents))
    tables = counted_tables(context_weights(arrays(tensors)), tiles)
    tensors[f"{CONTEXT_PREFIX}tables.frequencies"] = torch.from_numpy(tables.frequencies)
    tensors[f"{CONTEXT_PREFIX}tables.reach"] = torch.from_numpy(tables.reach)
    return tensors


def hyper_latents_of(codec: Codec, images: ImageSet) -> Iterator[Tile]:
    """The hyper-latents of whole images, at qualities of which the lower ones are more frequent."""
    for number in range(len(images)):
        for turn in range(QUALITIES_PER_IMAGE):
            spread = (number * QUALITIES_PER_IMAGE + turn) * 0.6180339887 % 1
            quality = 100 * spread**1.5
            for symbols in codec.analyse([ImageData(images.image(number))], quality)[0]:
                yield Tile(symbols.hyper, quality)


def fitted(tiles: Sequence[Tile], hyper_latents: int) -> ContextNetwork:
    """Train a context network on hyper-latents."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = ContextNetwork(hyper_latents)
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=0)
    generator = np.random.default_rng(0)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1, (step + 1) / WARMUP, max(0.01, 1 - step / STEPS))
        chosen = [tiles[i] for i in generator.integers(len(tiles), size=BATCH)]
        z, inside = _batch(chosen, mirrored=generator.random(BATCH) < 0.5)
        quality = torch.tensor([tile.quality for tile in chosen], dtype=torch.float32)
        loss = (network.bits(z, quality) * inside).sum() / inside.sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    return network.requires_grad_(False)


def _batch(tiles: Sequence[Tile], mirrored: np.ndarray) -> tuple[Tensor, Tensor]:
    """Hyper-latents of tiles, `[B, M, h, w]`, padded to the largest, and where they lie, `[B, 1, h, w]`."""
    height, width = (max(tile.hyper.shape[axis] for tile in tiles) for axis in (1, 2))
    z = np.zeros((len(tiles), len(tiles[0].hyper), height, width), np.float32)
    inside = np.zeros((len(tiles), 1, height, width), np.float32)
    for i, tile in enumerate(tiles):
        _, h, w = tile.hyper.shape
        z[i, :, :h, :w] = tile.hyper[:, :, ::-1] if mirrored[i] else tile.hyper
        inside[i, :, :h, :w] = 1
    return torch.from_numpy(z), torch.from_numpy(inside)


def counted_tables(weights: ContextWeights, tiles: Iterable[Tile]) -> TableFamily:
    """Count the tables of a context network on hyper-latents."""
    network, counts = IntegerContextNetwork(weights), np.zeros((CONTEXT_TABLES, 2 * FURTHEST + 1))
    for tile in tiles:
        for residual, tables in coded_steps(network, tile.hyper, tile.quality):
            np.add.at(counts, (tables, residual + FURTHEST), 1)
    return context_family(counts)


def context_family(counts: np.ndarray) -> TableFamily:
    """Make tables with an escape from counts of -254..254, `[128, 509]`. Where counts are few, the logistic
    distribution that a table is meant for decides.
    """
    values = torch.arange(counts.shape[1]).double() - counts.shape[1] // 2
    parts, reaches = [], []
    for number, count in enumerate(counts):
        scale, fraction = divmod(number, FRACTIONS)
        inverse = torch.tensor(1 / (SMALLEST_SCALE * SCALE_STEP**scale), dtype=torch.float64)
        prior = logistic_mass((values - fraction / FRACTIONS).abs(), inverse).numpy()
        weight = count + PRIOR_SYMBOLS * prior / prior.sum()
        share = weight / weight.sum()
        middle = len(share) // 2
        inside = share[middle] + np.cumsum(share[middle + 1 :] + share[middle - 1 :: -1])
        reach = 1 + int(np.argmax(1 - inside < ESCAPE_SHARE))
        kept = share[middle - reach : middle + reach + 1]
        parts.append(integer_frequencies(np.append(kept, max(1 - kept.sum(), 1e-7))))
        reaches.append(reach)
    return TableFamily(np.concatenate(parts), np.array(reaches, np.int32), escape=True)


def coded_bytes(coder: HyperLatentCoder, tiles: Iterable[Tile]) -> int:
    """What the hyper-latents of tiles take together."""
    encoder = Encoder()
    for tile in tiles:
        coder.write(encoder, tile.hyper, tile.quality)
    return len(encoder.bytes())
