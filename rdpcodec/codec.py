"""Codec: image ⇄ bytes. The one place where networks, entropy coder, container and images meet.

A `Codec` holds one model on one device. Coding an image is three steps each way, and the methods follow
them: pixels → `Symbols` (analyse) → bytes (entropy coding) → file, and back.
"""

from __future__ import annotations

import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from rdpcodec import container
from rdpcodec.container import Container, Header, Segment
from rdpcodec.encoder.auto_realism import DetailMatch
from rdpcodec.encoder.refine import Tile, refine
from rdpcodec.encoder.target_search import Target, search
from rdpcodec.entropy.tables import ESCAPE_LIMIT
from rdpcodec.errors import UsageError, WeightsError
from rdpcodec.image import Picture, alpha_from_bytes, alpha_to_bytes, load_picture
from rdpcodec.metrics.full_reference import full_reference
from rdpcodec.model.prior import anchor_mask
from rdpcodec.model.quantise import round_by_rate
from rdpcodec.model.transforms import PATCH, AnalysisFeatures
from rdpcodec.operating_point import AUTO, EFFORT_MAX, OperatingPoint, Realism
from rdpcodec.symbols import SymbolCoder, Symbols
from rdpcodec.tiles import Box, join_tiles, split_tiles, tile_grid
from rdpcodec.weights.manifest import DEFAULT_MODEL, find_model, model_for_file
from rdpcodec.weights.release import ReleasedModel

if TYPE_CHECKING:
    from rdpcodec.image import Source


class Codec:
    """One model, loaded once, for any number of images. May be shared between threads."""

    def __init__(
        self, model: str | ReleasedModel = DEFAULT_MODEL, device: str | torch.device = "cpu"
    ) -> None:
        """Load `model`, by name, to `device`. Raises `WeightsError` for an unknown model or damaged weights,
        `UsageError` for a device that torch does not have.

        A `ReleasedModel` already on `device` is taken as it is: for weights that are not installed.
        """
        self.device = usable_device(device)
        released = (
            model if isinstance(model, ReleasedModel) else ReleasedModel.load(find_model(model), self.device)
        )
        self.name, self.fingerprint, self.dials = released.name, released.fingerprint, released.dials
        self.network, self._realism = released.network, released.realism
        size = self.network.architecture
        self._analysis_margin = _margin(size.analysis_blocks)
        self._synthesis_margin = _margin(size.synthesis_blocks)
        self.decoder_fingerprint = released.decoder_fingerprint
        self.coder = SymbolCoder(released, self.device)

    # The public face: files.

    def compress(
        self,
        image: Source,
        quality: float | None = None,
        *,
        target: Target | None = None,
        realism: Realism = 0.0,
        effort: int = 0,
        keep_metadata: bool = False,
    ) -> bytes:
        """Compress one image to the bytes of an .rdpc file.

        image: anything `rdpcodec.image.load_picture` takes. quality 0..100 (50 if not given), realism 0..1
        or "auto", effort 0..9: the operating point. target: what the file is to meet, in place of a quality;
        sizes are those of the whole file, errors those of what it decodes to by default. Raises
        `PictureError` and `UsageError`; warns with `PictureWarning` of what the file will not hold.
        """
        if target is None:
            point = OperatingPoint(50.0 if quality is None else quality, realism, effort)
            return self.compress_batch([image], point, keep_metadata=keep_metadata)[0]
        if quality is not None:
            raise UsageError(f"quality {quality} and target {target}: give one of them")
        point = OperatingPoint(realism=realism, effort=effort)
        return self._compress_to(target, load_picture(image, keep_metadata=keep_metadata), point)

    def compress_batch(
        self,
        images: Sequence[Source] | Tensor,
        point: OperatingPoint | None = None,
        *,
        keep_metadata: bool = False,
    ) -> list[bytes]:
        """Compress several images; those of equal size go through the networks together.

        images: a sequence of what `compress` takes, or a tensor `[B, C, H, W]`.
        """
        point = point or OperatingPoint()
        point.check_dials(self.name, self.dials)
        pictures = [load_picture(image, keep_metadata=keep_metadata) for image in images]
        files: list[bytes] = [b""] * len(pictures)
        for members in _by_size([picture.size for picture in pictures]):
            symbols = self.analyse([pictures[i] for i in members], point.quality)
            for i, coded in zip(members, symbols, strict=True):
                refined = self.refine(pictures[i], coded, point.quality, point.effort)
                files[i] = self._file(pictures[i], _side_segments(pictures[i]), refined, point)
        return files

    def efforts(
        self,
        image: Source,
        quality: float = 50.0,
        *,
        realism: Realism = 0.0,
        keep_metadata: bool = False,
    ) -> Iterator[bytes]:
        """Files of one image at effort 0, 1, … 9, each as soon as it is found; stop when you have waited
        enough.

        Every search goes on from the last: all ten take as long as the last one alone. All tiles of an image
        are searched at once, so that memory grows with them. Arguments and errors are
        those of `compress`.
        """
        picture, point = load_picture(image, keep_metadata=keep_metadata), OperatingPoint(quality, realism)
        point.check_dials(self.name, self.dials)
        side = _side_segments(picture)
        (symbols,) = self.analyse([picture], quality)
        yield self._file(picture, side, symbols, point)
        for tiles in zip(*self._refinements(picture, symbols, quality, EFFORT_MAX), strict=True):
            yield self._file(picture, side, tiles, point)

    def encoder(self, picture: Picture) -> Callable[[OperatingPoint], bytes]:
        """A function from operating points to files of one image, for when there will be several.

        It computes once what all points share: the compressed alpha channel and metadata and, of an image of
        one tile, the analysis up to its first gain and its bypass. All behind the first gain depends on the
        quality, and so do the means and scales that are computed from it; what is shared is 37 % of the time
        of an encode. Of larger images it would fill the memory that tiles are there to bound.
        """
        features = lru_cache(maxsize=1)(partial(self._features, [picture]))
        side = _side_segments(picture)

        def encode(point: OperatingPoint) -> bytes:
            point.check_dials(self.name, self.dials)
            (symbols,) = self._symbols(features, picture.size, point.quality)
            symbols = self.refine(picture, symbols, point.quality, point.effort)
            return self._file(picture, side, symbols, point)

        return encode

    def _compress_to(self, target: Target, picture: Picture, point: OperatingPoint) -> bytes:
        """The file of one image that meets a target, with the realism and effort of `point`."""
        if not isinstance(target, Target):
            raise UsageError(f"target {target!r}: give a rdpcodec.Target, such as Target.bpp(0.3)")
        point.check_dials(self.name, self.dials)
        metric = None if target.kind in ("bpp", "size") else full_reference(target.kind)
        encode = self.encoder(picture)
        files: dict[float, bytes] = {}

        def measure(quality: float) -> float:
            files[quality] = data = encode(replace(point, quality=quality))
            if metric is not None:
                return metric(picture.pixels, np.asarray(self.decompress(data).convert("RGB")))
            return len(data) if target.kind == "size" else container.bits_per_pixel(data)

        return files[search(measure, target)]

    def decompress(
        self,
        data: bytes,
        *,
        realism: float | None = None,
        region: tuple[int, int, int, int] | None = None,
    ) -> Image.Image:
        """Decompress the bytes of an .rdpc file to a Pillow image of mode L, LA, RGB or RGBA.

        realism: 0..1, instead of the file's own default. region: left, top, width and height of the part to
        return, of which alone the tiles are decoded. Raises `FormatError` for damaged or foreign data,
        `WeightsError` when the file needs other weights than this codec's, `UsageError` for a region outside
        the image.
        """
        return self.decompress_batch([data], realism=realism, region=region)[0]

    def decompress_batch(
        self,
        files: Sequence[bytes],
        *,
        realism: float | None = None,
        region: tuple[int, int, int, int] | None = None,
    ) -> list[Image.Image]:
        """Decompress several files; those of equal size and quality go through the networks together."""
        parsed = [container.read(data) for data in files]
        for file in parsed:
            if (file.header.model, file.header.fingerprint) != (self.name, self.fingerprint):
                needs = f"{file.header.model}-{file.header.fingerprint.hex()}"
                raise WeightsError(
                    f"the file needs weights {needs}, this codec holds {self.name}-{self.fingerprint.hex()}"
                )
        if isinstance(realism, str):
            raise UsageError(f"realism {realism!r}: decompression takes a number")
        dials = [(f.header.quality, f.header.realism if realism is None else realism) for f in parsed]
        for point in dials:
            OperatingPoint(*point).check_dials(self.name, self.dials)
        images: list[Image.Image | None] = [None] * len(parsed)
        sizes = [(file.header.width, file.header.height) for file in parsed]
        keys = [(*size, *point) for size, point in zip(sizes, dials, strict=True)]
        for members in _by_size(keys):
            size, (quality, beta) = sizes[members[0]], dials[members[0]]
            box = Box(0, 0, *size) if region is None else _region(region, size)
            read = self._reader([parsed[i] for i in members])
            pixels = self._decode(read, len(members), quality, size, beta, box)
            for i, array in zip(members, pixels, strict=True):
                images[i] = _with_side_data(array, parsed[i], box).to_pillow()
        return [image for image in images if image is not None]

    # Pixels ⇄ symbols.

    @torch.inference_mode()
    def analyse(self, pictures: Sequence[Picture], quality: float) -> list[list[Symbols]]:
        """Pictures of one size → the symbols of their tiles, row by row."""
        return self._symbols(partial(self._features, pictures), pictures[0].size, quality)

    @torch.inference_mode()
    def _symbols(
        self, features: Callable[[Box], AnalysisFeatures], size: tuple[int, int], quality: float
    ) -> list[list[Symbols]]:
        """`analyse`, with the features of each tile as a function of it."""
        tiles = [
            self._quantise(self._latents(features(tile), tile, size, quality), quality)
            for row in tile_grid(*size)
            for tile in row
        ]
        return [list(parts) for parts in zip(*tiles, strict=True)]

    def _features(self, pictures: Sequence[Picture], box: Box) -> AnalysisFeatures:
        """Of a part of the images and its margin: the part of the analysis that all qualities share."""
        window = box.grown(self._analysis_margin, *pictures[0].size)
        return self.network.analysis.features(self._padded(pictures, window))

    def _latents(self, features: AnalysisFeatures, box: Box, size: tuple[int, int], quality: float) -> Tensor:
        """The latents of a part of the images, as if the whole had been analysed, `[B, N, h, w]`."""
        window = box.grown(self._analysis_margin, *size)
        y = self.network.analysis.latents(features, self._quality(quality, len(features.bypass)))
        top, left = (box.top - window.top) // PATCH, (box.left - window.left) // PATCH
        return y[:, :, top : top + -(-box.height // PATCH), left : left + -(-box.width // PATCH)]

    def _quantise(self, y: Tensor, quality: float) -> list[Symbols]:
        """Latents of one tile of each image, `[B, N, h, w]` → its symbols."""
        q = self._quality(quality, len(y))
        z = torch.floor(self.network.hyper_latents(y) + 0.5)
        z = self.coder.within_tables(z, quality)
        tables = self.coder.tables(z, quality, y.shape[2:])
        limit = float(ESCAPE_LIMIT)

        def rounded(mean: Tensor) -> Tensor:
            return round_by_rate(y - mean, tables, q, self.coder.residual_bits).clamp_(-limit, limit)

        mean, second_means = self._means(z, q, y.shape[2:])
        residual = rounded(mean)
        mask = anchor_mask(y)
        mean = second_means(torch.where(mask, mean + residual, 0.0))
        residual = torch.where(mask, residual, rounded(mean))
        integers = (z.int(), tables, residual.int())
        return [Symbols(*parts) for parts in zip(*(part.cpu().numpy() for part in integers), strict=True)]

    def refine(
        self, picture: Picture, symbols: Sequence[Symbols], quality: float, effort: int
    ) -> list[Symbols]:
        """Search for symbols of an image that cost less in rate + λ·squared error; effort 0..9.

        symbols: what `analyse` found. More effort takes longer. An image of one tile never gets worse by it;
        tiles are searched one by one, beside neighbours as the analysis left them.
        """
        if effort == 0:
            return list(symbols)
        return [deque(tile, maxlen=1).pop() for tile in self._refinements(picture, symbols, quality, effort)]

    def _refinements(
        self, picture: Picture, symbols: Sequence[Symbols], quality: float, effort: int
    ) -> Iterator[Iterator[Symbols]]:
        """For each tile of an image, what each effort from 1 to `effort` makes of its symbols."""
        tiles = [tile for row in tile_grid(*picture.size) for tile in row]
        for tile, found in zip(tiles, symbols, strict=True):
            yield self._refined(picture, tile, found, quality, effort)

    def _refined(
        self, picture: Picture, tile: Box, symbols: Symbols, quality: float, effort: int
    ) -> Iterator[Symbols]:
        def coded(residual: Tensor) -> float:
            found = replace(symbols, residual=residual[0].int().cpu().numpy())
            return 8.0 * len(self.coder.encode(found, quality))

        q = self._quality(quality, 1)
        window = tile.grown(self._synthesis_margin, *picture.size)
        with torch.no_grad():
            latents = self._latents(self._features([picture], window), window, picture.size, quality)
        searched = Tile(
            self._padded([picture], window)[:, :, : window.height, : window.width],
            q,
            latents,
            self._batch([symbols.hyper]),
            torch.from_numpy(symbols.tables)[None].to(self.device),
            self._batch([symbols.residual]),
            ((tile.top - window.top) // PATCH, (tile.left - window.left) // PATCH),
            self.coder.residual_bits,
            coded,
        )
        for refined in refine(self.network, searched, effort):
            yield replace(symbols, residual=refined.residual[0].int().cpu().numpy())

    def synthesise(
        self,
        symbols: Sequence[Sequence[Symbols]],
        quality: float,
        size: tuple[int, int],
        *,
        realism: float = 0.0,
    ) -> np.ndarray:
        """Symbols of the tiles of images of one `size` (width, height) → pixels, uint8 `[B, H, W, 3]`.

        realism: 0..1, for models that have the dial. Between its ends two decodings are mixed, which reaches
        every point between them (Yan, Wen & Liu 2022; Freirich, Michaeli & Meir 2021).
        """

        def read(number: int) -> list[Symbols]:
            return [tiles[number] for tiles in symbols]

        return self._decode(read, len(symbols), quality, size, realism, Box(0, 0, *size))

    @torch.inference_mode()
    def _decode(
        self,
        read: Callable[[int], Sequence[Symbols]],
        count: int,
        quality: float,
        size: tuple[int, int],
        realism: float,
        region: Box,
    ) -> np.ndarray:
        """A region of `count` images, whose symbols `read` gives tile by tile, → pixels, uint8.

        Not more than three rows of tiles are in memory as latents at a time.
        """
        grid = tile_grid(*size)
        q = self._quality(quality, count)
        pixels = np.empty((count, region.height, region.width, 3), np.uint8)
        decoded: dict[tuple[int, int], Tensor] = {}
        for row, boxes in enumerate(grid):
            for tile in boxes:
                part = tile.common(region)
                if part is None:
                    continue
                window = part.grown(self._synthesis_margin, *size)
                window = Box(
                    window.left // PATCH * PATCH, window.top // PATCH * PATCH, window.right, window.bottom
                )
                y = self._gathered(window, grid, decoded, read, q)
                x = self._mixed(y, q, realism)
                top, left = part.top - window.top, part.left - window.left
                x = x[:, :, top : top + part.height, left : left + part.width]
                array = (
                    x.clamp_(0, 1)
                    .mul_(255)
                    .round_()
                    .to(torch.uint8)
                    .permute(0, 2, 3, 1)
                    .contiguous()
                    .cpu()
                    .numpy()
                )
                pixels[
                    :,
                    part.top - region.top : part.bottom - region.top,
                    part.left - region.left : part.right - region.left,
                ] = array
            for key in [key for key in decoded if key[0] < row]:
                del decoded[key]
        return pixels

    def _natural(self, picture: Picture, symbols: Sequence[Symbols], quality: float) -> float:
        """The realism that the image's detail asks for: decodes it twice, one row of tiles at a time."""
        if self._realism is None:
            return 0.0
        match = DetailMatch()
        for row in tile_grid(*picture.size):
            strip = Box(0, row[0].top, picture.size[0], row[0].bottom)
            ends = [
                self._decode(lambda number: [symbols[number]], 1, quality, picture.size, realism, strip)[0]
                for realism in (0.0, 1.0)
            ]
            match.add(picture.pixels[strip.top : strip.bottom], *ends)
        return match.realism()

    def _gathered(
        self,
        window: Box,
        grid: list[list[Box]],
        decoded: dict[tuple[int, int], Tensor],
        read: Callable[[int], Sequence[Symbols]],
        q: Tensor,
    ) -> Tensor:
        """The decoded latents of a window, `[B, N, h, w]`, from its tiles, which `decoded` keeps."""
        shape = (-(-window.height // PATCH), -(-window.width // PATCH))
        y = torch.empty(len(q), self.network.architecture.latents, *shape, device=self.device)
        for row, boxes in enumerate(grid):
            for column, tile in enumerate(boxes):
                part = tile.common(window)
                if part is None:
                    continue
                if (row, column) not in decoded:
                    decoded[row, column] = self._dequantise(read(row * len(boxes) + column), q)
                height, width = -(-part.height // PATCH), -(-part.width // PATCH)
                top, left = (part.top - window.top) // PATCH, (part.left - window.left) // PATCH
                y[:, :, top : top + height, left : left + width] = decoded[row, column][
                    :,
                    :,
                    (part.top - tile.top) // PATCH :,
                    (part.left - tile.left) // PATCH :,
                ][:, :, :height, :width]
        return y.contiguous(memory_format=torch.channels_last)

    def _dequantise(self, symbols: Sequence[Symbols], q: Tensor) -> Tensor:
        """Symbols of one tile of each image → its latents, `[B, N, h, w]`."""
        z = self._batch([s.hyper for s in symbols])
        residual = self._batch([s.residual for s in symbols])
        mean, second_means = self._means(z, q, residual.shape[2:])
        mask = anchor_mask(residual)
        anchors = torch.where(mask, mean + residual, 0.0)
        return torch.where(mask, anchors, second_means(anchors) + residual)

    def _mixed(self, y: Tensor, q: Tensor, realism: float) -> Tensor:
        """x(β) = x_fidelity + β · (x_realism - x_fidelity), one synthesis where β is 0 or 1."""
        if realism == 0:
            return self.network.synthesis(y, q)
        if self._realism is None:
            raise UsageError(f"the weights of model {self.name!r} have no realism dial")
        if realism == 1:
            return self._realism(y, q)
        return torch.lerp(self.network.synthesis(y, q), self._realism(y, q), realism)

    def _means(
        self, z: Tensor, q: Tensor, shape: tuple[int, ...]
    ) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """First means at all positions, and a function from the anchors' latents to the second means."""
        height, width = shape
        features = self.network.mean_network.features(z, q)[:, :, :height, :width]
        network = self.network.mean_network
        return network.first_means(features), lambda anchors: network.second_means(features, anchors)

    def _padded(self, pictures: Sequence[Picture], box: Box) -> Tensor:
        """A part of images as the networks want it, `[B, 3, H, W]` in [0, 1], sides multiples of 16."""
        parts = [picture.pixels[box.top : box.bottom, box.left : box.right] for picture in pictures]
        x = self._batch([part.transpose(2, 0, 1) for part in parts]).div_(255)
        x = F.pad(x, (0, -x.shape[3] % PATCH, 0, -x.shape[2] % PATCH), mode="replicate")
        return x.contiguous(memory_format=torch.channels_last)

    def _batch(self, arrays: Sequence[np.ndarray]) -> Tensor:
        """Arrays `[C, H, W]` as one float tensor on the device, channels last: what 1×1 convolutions like."""
        batch = torch.from_numpy(np.stack(arrays)).to(self.device).float()
        return batch.contiguous(memory_format=torch.channels_last)

    def _quality(self, quality: float, count: int) -> Tensor:
        """The quality exactly as the file stores it, once per image."""
        stored = container.stored_quality(quality) / container.QUALITY_UNITS
        return torch.full((count,), stored, device=self.device)

    # Files → symbols.

    def decode_symbols(self, files: Sequence[Container]) -> list[list[Symbols]]:
        """The symbols of the tiles of files of one size and quality.

        Raises `FormatError` when the data does not fit.
        """
        read = self._reader(files)
        count = sum(len(row) for row in tile_grid(files[0].header.width, files[0].header.height))
        return [list(parts) for parts in zip(*(read(number) for number in range(count)), strict=True)]

    def _reader(self, files: Sequence[Container]) -> Callable[[int], list[Symbols]]:
        """A function from a tile's number to its symbols in each of the files of one size and quality."""
        header = files[0].header
        tiles = [tile for row in tile_grid(header.width, header.height) for tile in row]
        payloads = [split_tiles(file.picture, len(tiles)) for file in files]

        def read(number: int) -> list[Symbols]:
            coded = [parts[number] for parts in payloads]
            return self._decode_tile(coded, tiles[number], header.quality)

        return read

    def _decode_tile(self, coded: Sequence[bytes], tile: Box, quality: float) -> list[Symbols]:
        """Entropy-decode one tile of each image."""
        size = (-(-tile.height // PATCH), -(-tile.width // PATCH))
        return self.coder.decode(coded, size, quality)

    # Symbols → files.

    def _file(
        self, picture: Picture, side: dict[Segment, bytes], symbols: Sequence[Symbols], point: OperatingPoint
    ) -> bytes:
        realism = self._natural(picture, symbols, point.quality) if point.realism == AUTO else point.realism
        header = Header(self.name, self.fingerprint, point.quality, float(realism), *picture.size)
        kind = Segment.GRAY if picture.gray else Segment.COLOUR
        coded = join_tiles([self.coder.encode(tile, point.quality) for tile in symbols])
        segments = {**side, kind: coded}
        return container.write(Container(header, segments))


def _by_size(keys: Sequence[tuple[float, ...]]) -> list[list[int]]:
    """Indices grouped by equal keys."""
    groups: dict[tuple[float, ...], list[int]] = {}
    for i, key in enumerate(keys):
        groups.setdefault(key, []).append(i)
    return list(groups.values())


def _margin(blocks: tuple[int, int]) -> int:
    """How far a stack of blocks sees beyond a latent, in pixels, rounded up to latents: one cell of its
    resolution for every block at 1/8 and 1/16.
    """
    return PATCH * -(-(8 * blocks[0] + 16 * blocks[1]) // PATCH)


def _region(region: tuple[int, int, int, int], size: tuple[int, int]) -> Box:
    """A region as users give it. Raises `UsageError` unless it lies within the image."""
    left, top, width, height = region
    if left < 0 or top < 0 or width < 1 or height < 1 or left + width > size[0] or top + height > size[1]:
        raise UsageError(
            f"region {left},{top},{width},{height} does not lie within the image, {size[0]}×{size[1]} pixels"
        )
    return Box(left, top, left + width, top + height)


def _side_segments(picture: Picture) -> dict[Segment, bytes]:
    """What goes with the coded image, whatever its quality."""
    segments: dict[Segment, bytes] = {}
    if picture.icc is not None:
        segments[Segment.ICC] = zlib.compress(picture.icc, 9)
    if picture.exif is not None:
        segments[Segment.EXIF] = zlib.compress(picture.exif, 9)
    if picture.alpha is not None:
        segments[Segment.ALPHA] = alpha_to_bytes(picture.alpha)
    return segments


def _with_side_data(pixels: np.ndarray, file: Container, box: Box) -> Picture:
    """A decoded region of an image with what the file's other segments carry."""
    picture = Picture(pixels, file.gray)
    segments = file.segments
    if Segment.ALPHA in segments:
        alpha = alpha_from_bytes(segments[Segment.ALPHA], (file.header.width, file.header.height))
        picture = replace(picture, alpha=alpha[box.top : box.bottom, box.left : box.right])
    if Segment.ICC in segments:
        picture = replace(picture, icc=container.inflate(segments[Segment.ICC]))
    if Segment.EXIF in segments:
        picture = replace(picture, exif=container.inflate(segments[Segment.EXIF]))
    return picture


def usable_device(device: str | torch.device) -> torch.device:
    """A device that torch can put a tensor on. Raises `UsageError` for any other."""
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as error:  # the latter from a torch without CUDA
        raise UsageError(f"device {str(device)!r} cannot be used: {str(error).splitlines()[0]}") from error
    return found


_loading = threading.Lock()


@lru_cache(maxsize=4)
def _codec(model: str, device: str) -> Codec:
    return Codec(model, device)


def shared_codec(model: str = DEFAULT_MODEL, device: str = "cpu") -> Codec:
    """A codec that the module-level functions share, loaded at its first use."""
    with _loading:
        return _codec(model, device)


def compress(
    image: Source,
    quality: float | None = None,
    *,
    target: Target | None = None,
    realism: Realism = 0.0,
    effort: int = 0,
    model: str = DEFAULT_MODEL,
    device: str = "cpu",
    keep_metadata: bool = False,
) -> bytes:
    """Compress one image to the bytes of an .rdpc file. See `Codec.compress`."""
    codec = shared_codec(model, device)
    return codec.compress(
        image, quality, target=target, realism=realism, effort=effort, keep_metadata=keep_metadata
    )


def decompress(
    data: bytes,
    *,
    realism: float | None = None,
    region: tuple[int, int, int, int] | None = None,
    device: str = "cpu",
) -> Image.Image:
    """Decompress the bytes of an .rdpc file with the model it names. See `Codec.decompress`."""
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise UsageError(f"decompress takes the bytes of a file, not {type(data).__name__}")
    header = container.read(bytes(data)).header
    entry = model_for_file(header.model, header.fingerprint)
    return shared_codec(entry.name, device).decompress(bytes(data), realism=realism, region=region)
