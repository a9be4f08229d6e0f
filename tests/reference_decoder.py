"""A second decoder, from file to symbols and exact layer, written from docs/format.md: plain integers, no
rdpcodec.
"""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

Tensors = dict[str, np.ndarray]


@dataclass
class File:
    model: int
    fingerprint: bytes
    quality: int
    realism: int
    width: int
    height: int
    segments: dict[int, bytes]


def varint(data: bytes, position: int) -> tuple[int, int]:
    """A varint and the position after it."""
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, position


def parse(data: bytes) -> File:
    assert data[:3] == b"RDP"
    assert data[3] in (1, 2)
    assert zlib.crc32(data[:-4]) == int.from_bytes(data[-4:], "little")
    position = 12

    def number() -> int:
        nonlocal position
        value, position = varint(data, position)
        return value

    width, height, segments = number(), number(), {}
    while position < len(data) - 4:
        kind = data[position]
        position += 1
        length = number()
        segments[kind] = data[position : position + length]
        position += length
    assert (data[3] == 2) == bool(segments.keys() & {7, 9})
    quality = int.from_bytes(data[9:11], "little")
    return File(data[4], data[5:9], quality, data[11], width, height, segments)


class Stream:
    """Section 5."""

    def __init__(self, payload: bytes) -> None:
        self.words = [int.from_bytes(payload[i : i + 4], "little") for i in range(0, len(payload), 4)]
        self.state = 0
        for _ in range(2):
            if self.words:
                self.state = self.state << 32 | self.words.pop()

    def advance(self, quantile: int, start: int, frequency: int) -> None:
        self.state = (self.state >> 24) * frequency + quantile - start
        if self.state < 1 << 32 and self.words:
            self.state = self.state << 32 | self.words.pop()

    def symbol(self, frequencies: np.ndarray) -> int:
        ends = np.cumsum(frequencies)
        quantile = self.state & (1 << 24) - 1
        index = int(np.searchsorted(ends, quantile, side="right"))
        self.advance(quantile, int(ends[index] - frequencies[index]), int(frequencies[index]))
        return index

    def sixteen_bits(self) -> int:
        quantile = self.state & (1 << 24) - 1
        self.advance(quantile, quantile & ~255, 256)
        return quantile >> 8


def read_grouped(
    stream: Stream, tables: np.ndarray, weights: Tensors, family: str, escape: bool
) -> np.ndarray:
    """Section 2: symbols grouped by table, each group followed by the values of its escapes."""
    frequencies = weights[f"{family}.frequencies"].astype(np.int64)
    reach = weights[f"{family}.reach"].astype(np.int64)
    lengths = 2 * reach + 1 + escape
    starts = np.cumsum(lengths) - lengths
    flat = tables.reshape(-1)
    values = np.zeros(flat.size, np.int64)
    for table in np.unique(flat):
        counts = frequencies[starts[table] : starts[table] + lengths[table]]
        where = np.flatnonzero(flat == table)
        group = [stream.symbol(counts) - int(reach[table]) for _ in where]
        for i, value in enumerate(group):
            if value == reach[table] + 1:
                group[i] = stream.sixteen_bits() - 32768
        values[where] = group
    return values.reshape(tables.shape)


def hyper_latents(stream: Stream, shape: tuple[int, int, int], quality: int, weights: Tensors) -> np.ndarray:
    """Section 2, each channel's own table."""
    bank = (quality * 7 + 5000) // 10_000
    tables = np.broadcast_to((bank * shape[0] + np.arange(shape[0]))[:, None, None], shape)
    return read_grouped(stream, tables, weights, "tables.hyper", escape=False)


def hyper_latents_in_context(
    stream: Stream, shape: tuple[int, int, int], quality: int, weights: Tensors
) -> np.ndarray:
    """Section 3.1, tables by neighbours."""
    channels, height, width = shape
    z = np.zeros(shape, np.int64)
    outside = np.zeros(channels, np.int64)

    def at(i: int, j: int) -> np.ndarray:
        return z[:, i, j] if i >= 0 and j >= 0 else outside

    def layer(name: str, x: np.ndarray, bits: int) -> np.ndarray:
        offset = weights[f"context.{name}_bias"]
        offset = interpolated(offset, quality) if offset.ndim == 2 else offset.astype(np.int64)
        return weights[f"context.{name}"].astype(np.int64) @ x + offset + (1 << (bits - 1)) >> bits

    for total in range(height + width - 1):
        places = [(i, total - i) for i in range(height) if 0 <= total - i < width]
        means, tables = [], []
        for i, j in places:
            x = np.concatenate([at(i, j - 1), at(i - 1, j), at(i - 1, j - 1)])
            x = np.clip(layer("enter", x, 5), 0, 255)
            x = np.clip(layer("hidden", x, 7), 0, 255)
            x = layer("leave", x, 9)
            mean, scale = np.clip(x[:channels], -1016, 1016), np.clip(x[channels:], 0, 15)
            means.append(mean // 8)
            tables.append(8 * scale + mean % 8)
        values = np.array(means) + read_grouped(
            stream, np.array(tables), weights, "context.tables", escape=True
        )
        assert np.abs(values).max() <= 127
        for (i, j), value in zip(places, values, strict=True):
            z[:, i, j] = value
    return z


def interpolated(table: np.ndarray, quality: int) -> np.ndarray:
    """Section 3: the bias at a quality."""
    wide = table.astype(np.int64)
    lower = min(7 * quality // 10_000, 6)
    f = 7 * quality - 10_000 * lower
    return (wide[lower] * (10_000 - f) + wide[lower + 1] * f + 5000) // 10_000


def table_indices(z: np.ndarray, quality: int, weights: Tensors) -> np.ndarray:
    """Section 3."""

    def act(x: np.ndarray, bits: int, limit: int = 255) -> np.ndarray:
        return np.clip(x + (1 << (bits - 1)) >> bits, 0, limit)

    def bias(name: str) -> np.ndarray:
        return interpolated(weights[name], quality)

    def pointwise(name: str, x: np.ndarray, offset: np.ndarray) -> np.ndarray:
        product = np.tensordot(weights[name].astype(np.int64), x, axes=1)
        return product + offset.astype(np.int64)[:, None, None]

    def depthwise(name: str, x: np.ndarray) -> np.ndarray:
        weight, total = weights[name].astype(np.int64), np.zeros_like(x)
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
        for u in range(3):
            for v in range(3):
                total += weight[:, u, v, None, None] * padded[:, u : u + x.shape[1], v : v + x.shape[2]]
        return total

    def shuffle(x: np.ndarray) -> np.ndarray:
        out = np.zeros((x.shape[0] // 4, 2 * x.shape[1], 2 * x.shape[2]), np.int64)
        for a in range(2):
            for b in range(2):
                out[:, a::2, b::2] = x[2 * a + b :: 4]
        return out

    x = act(pointwise("scale.enter", z, bias("scale.enter_bias")), 3)
    for i in range(2):
        x = act(depthwise(f"scale.filters.{i}", x), 6)
        x = act(shuffle(pointwise(f"scale.widen.{i}", x, weights[f"scale.widen_bias.{i}"])), 6)
    x = act(depthwise("scale.filters.2", x), 6)
    return act(pointwise("scale.leave", x, bias("scale.leave_bias")), 8, 63)


def stretches(length: int) -> list[int]:
    """Section 2: the lengths of the tiles along a side."""
    count = -(-length // 1024)
    side = 64 * -(-length // (64 * count))
    return [min(side, length - start) for start in range(0, length, side)]


def tiles(file: File) -> list[tuple[bytes, int, int]]:
    """Section 2: coded data, height and width of each tile."""
    return entries(file, file.segments[1] if 1 in file.segments else file.segments[3])


def exact(file: File) -> list[tuple[np.ndarray, np.ndarray]]:
    """Section 2.1: pixels of each tile of the exact layer, and which of them count."""
    found = []
    for data, height, width in entries(file, file.segments[7]):
        rgba = np.zeros((height, width, 4), np.uint8)
        if data:
            rgba = np.asarray(Image.open(io.BytesIO(webp(data))).convert("RGBA"))
        found.append((rgba[..., :3], rgba[..., 3] == 255))
    return found


def alpha(file: File) -> np.ndarray:
    """Section 2.2: the alpha channel of an image one tile high, its tiles joined from left to right."""
    found = []
    for data, _, _ in entries(file, file.segments[9]):
        rgba = np.asarray(Image.open(io.BytesIO(webp(data))).convert("RGBA"))
        assert (rgba[..., 3] == 255).all()
        found.append(rgba[..., 1])
    return np.concatenate(found, axis=1)


def webp(data: bytes) -> bytes:
    """Section 2.1: the file that a WebP decoder reads."""
    chunk = b"WEBPVP8L" + len(data).to_bytes(4, "little") + data + bytes(len(data) % 2)
    return b"RIFF" + len(chunk).to_bytes(4, "little") + chunk


def entries(file: File, payload: bytes) -> list[tuple[bytes, int, int]]:
    """Section 2: what a payload holds for each tile, and the tile's height and width."""
    sizes = [(height, width) for height in stretches(file.height) for width in stretches(file.width)]
    if len(sizes) == 1:
        return [(payload, *sizes[0])]
    position, lengths = 0, []
    for _ in sizes:
        length, position = varint(payload, position)
        lengths.append(length)
    found = []
    for length, size in zip(lengths, sizes, strict=True):
        found.append((payload[position : position + length], *size))
        position += length
    assert position == len(payload)
    return found


def decode(data: bytes, weights: Tensors) -> list[tuple[np.ndarray, np.ndarray]]:
    """File → hyper-latents and residuals of each tile."""
    file = parse(data)
    empty = [mask.all() for _, mask in exact(file)] if 7 in file.segments else []
    return [
        decode_tile(*tile, file.quality, weights, number < len(empty) and empty[number])
        for number, tile in enumerate(tiles(file))
    ]


def decode_tile(
    payload: bytes, height: int, width: int, quality: int, weights: Tensors, exact: bool
) -> tuple[np.ndarray, np.ndarray]:
    stream = Stream(payload)
    h, w = -(-height // 16), -(-width // 16)
    shape: Any = (weights["scale.enter"].shape[1], -(-h // 4), -(-w // 4))
    if exact and not payload:
        return np.zeros(shape, np.int64), np.zeros((len(weights["scale.leave"]), h, w), np.int64)
    z = (hyper_latents_in_context if "context.enter" in weights else hyper_latents)(
        stream, shape, quality, weights
    )
    index = table_indices(z, quality, weights)[:, :h, :w]
    residual = read_grouped(stream, index, weights, "tables.latents", escape=True)
    assert stream.state == 0
    assert not stream.words
    return z, residual
