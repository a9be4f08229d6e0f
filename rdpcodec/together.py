"""Several images, several files: those that are alike go through the networks together.

Images must be of one size for that, files of one size, quality and realism. Places in what is returned are
those of what was given.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

from rdpcodec import side_data
from rdpcodec.arguments import kept, realism_in
from rdpcodec.container import Container
from rdpcodec.encoder.image_encoder import ImageEncoder
from rdpcodec.errors import RdpError
from rdpcodec.image import Picture
from rdpcodec.mosaic import AnalysedTiles, CodedTiles, Mosaic, Region, region_of
from rdpcodec.operating_point import Bounds, OperatingPoint, Target
from rdpcodec.tile_codec import TileCodec
from rdpcodec.weights.manifest import Identity

Key = TypeVar("Key", bound=Hashable)


def encode_together(
    tile_codec: TileCodec,
    weights: Identity,
    pictures: Mapping[int, Picture],
    point: OperatingPoint,
    errors: dict[int, RdpError] | None,
) -> dict[int, bytes]:
    """The files of images, by their places; one by one where each is to meet a target.

    weights: those of `tile_codec`; `point` turns no dial that they lack. errors: filled with what is wrong
    with images, as in `Codec.compress_batch`; where it is not given, the first error is raised.
    """
    files: dict[int, bytes] = {}
    for members in _alike({i: picture.size for i, picture in pictures.items()}).values():
        if isinstance(point.quality, (Target, Bounds)):
            for i in members:
                with kept(errors, i):
                    files[i] = ImageEncoder(tile_codec, weights, pictures[i]).encode(point)
            continue
        encoders = [ImageEncoder(tile_codec, weights, pictures[i]) for i in members]
        analysed = AnalysedTiles(tile_codec, [encoder.picture.pixels for encoder in encoders])
        for i, encoder, tiles in zip(members, encoders, analysed.symbols(point.quality), strict=True):
            files[i] = encoder.file(tiles, point.quality, point)
    return files


def decode_together(
    tile_codec: TileCodec,
    weights: Identity,
    files: Sequence[Container],
    realism: float | None,
    region: Region | None,
) -> list[Picture]:
    """The images of files. weights: those of `tile_codec`. The rest is as of `Codec.decompress`."""
    headers = [file.header for file in files]
    realisms = [realism_in(header, realism) for header in headers]
    for header, beta in zip(headers, realisms, strict=True):
        weights.check_file(header)
        OperatingPoint(header.quality, beta).check_dials(weights.name, weights.dials)
    keys = {
        i: ((header.width, header.height), header.quality, beta)
        for i, (header, beta) in enumerate(zip(headers, realisms, strict=True))
    }
    images: dict[int, Picture] = {}
    for (size, quality, beta), members in _alike(keys).items():
        box = region_of(region, size)
        tile_codec.engine.prepare(beta)
        tiles = CodedTiles(tile_codec, [files[i] for i in members])
        pixels = Mosaic(tile_codec, tiles, size, quality, tiles.exact).decode(box, beta)
        for i, array in zip(members, pixels, strict=True):
            images[i] = side_data.unpack(array, files[i], box)
    return [images[i] for i in range(len(files))]


def _alike(keys: Mapping[int, Key]) -> dict[Key, list[int]]:
    """The places of each key."""
    members: dict[Key, list[int]] = {}
    for i, key in keys.items():
        members.setdefault(key, []).append(i)
    return members
