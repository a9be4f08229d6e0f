"""Several images or several files: those that are alike go through the networks together.

Images are alike if they have one size, files if they have one size, quality and realism. Results keep the
places of what was given.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

from rdpcodec import side_data
from rdpcodec.arguments import kept, realism_in
from rdpcodec.container import Container
from rdpcodec.encoder.image_encoder import ImageEncoder
from rdpcodec.errors import RdpError
from rdpcodec.image import ImageData
from rdpcodec.mosaic import AnalysedTiles, CodedTiles, Mosaic, Region, region_of
from rdpcodec.operating_point import Bounds, OperatingPoint, Target
from rdpcodec.tile_codec import TileCodec
from rdpcodec.weights.manifest import Identity

Key = TypeVar("Key", bound=Hashable)


def encode_together(
    tile_codec: TileCodec,
    weights: Identity,
    images: Mapping[int, ImageData],
    point: OperatingPoint,
    errors: dict[int, RdpError] | None,
) -> dict[int, bytes]:
    """The files of images, by their places; made one by one if each must meet a target.

    weights: those of `tile_codec`; `point` turns no dial that they lack. errors: receives the errors of
    images, as in `Codec.compress_batch`; without it, the first error is raised.
    """
    files: dict[int, bytes] = {}
    for members in _alike({i: image.size for i, image in images.items()}).values():
        if isinstance(point.quality, (Target, Bounds)):
            for i in members:
                with kept(errors, i):
                    files[i] = ImageEncoder(tile_codec, weights, images[i]).encode(point)
            continue
        encoders = [ImageEncoder(tile_codec, weights, images[i]) for i in members]
        analysed = AnalysedTiles(tile_codec, [encoder.image.pixels for encoder in encoders])
        for i, encoder, tiles in zip(members, encoders, analysed.symbols(point.quality), strict=True):
            files[i] = encoder.file(tiles, point.quality, point)
    return files


def decode_together(
    tile_codec: TileCodec,
    weights: Identity,
    files: Mapping[int, Container],
    realism: float | None,
    region: Region | None,
    errors: dict[int, RdpError] | None = None,
) -> dict[int, ImageData]:
    """The images of files, by their places.

    weights: those of `tile_codec`. errors: receives the errors of files, as in `Codec.decompress_batch`;
    without it, the first error is raised. The rest is as in `Codec.decompress`.
    """
    keys: dict[int, tuple[tuple[int, int], float, float]] = {}
    for i, file in files.items():
        with kept(errors, i):
            beta = realism_in(file.header, realism)
            weights.check_file(file.header)
            OperatingPoint(file.header.quality, beta).check_dials(weights.name, weights.dials)
            keys[i] = (file.header.width, file.header.height), file.header.quality, beta
    images: dict[int, ImageData] = {}
    for (_, _, beta), members in _alike(keys).items():
        try:
            images |= _decoded(tile_codec, {i: files[i] for i in members}, beta, region)
        except RdpError:
            if errors is None:
                raise
            for i in members:  # to find which is at fault
                with kept(errors, i):
                    images |= _decoded(tile_codec, {i: files[i]}, beta, region)
    return images


def _decoded(
    tile_codec: TileCodec, files: Mapping[int, Container], beta: float, region: Region | None
) -> dict[int, ImageData]:
    """The images of files of one size and quality, at one realism. Raises `RdpError` if one is damaged."""
    header = next(iter(files.values())).header
    size = header.width, header.height
    box = region_of(region, size)
    tile_codec.engine.prepare(beta)
    tiles = CodedTiles(tile_codec, list(files.values()))
    pixels = Mosaic(tile_codec, tiles, size, header.quality, tiles.exact).decode(box, beta)
    return {i: side_data.unpack(array, files[i], box) for i, array in zip(files, pixels, strict=True)}


def _alike(keys: Mapping[int, Key]) -> dict[Key, list[int]]:
    """The places of each key."""
    members: dict[Key, list[int]] = {}
    for i, key in keys.items():
        members.setdefault(key, []).append(i)
    return members
