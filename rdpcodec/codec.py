"""Codec: image ⇄ bytes of a file. Read from top to bottom, this file is the whole way, in both directions.

```text
image → ImageData → symbols of its tiles → bytes of the tiles → segments of a file
```

The steps have files of their own: `image`, `mosaic` and `tile_codec` (pixels ⇄ symbols), `symbols` (symbols ⇄
bytes), `side_data` and `container` (bytes ⇄ file). `encoder/image_encoder` makes the file of one image from
its symbols, and a better one where it may take longer; the decoder does not change. docs/architecture.md has
a drawing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, overload

import numpy as np
from PIL import Image

from rdpcodec.arguments import (
    as_list,
    collecting_errors,
    container_of,
    realism_in,
)
from rdpcodec.encoder.image_encoder import ImageEncoder
from rdpcodec.encoder.needs import check_installed
from rdpcodec.engine.choice import EngineName, make_engine
from rdpcodec.errors import RdpError, UsageError, WeightsError
from rdpcodec.extras import need_torch
from rdpcodec.files.source import File, named
from rdpcodec.fork_lock import ForkLock
from rdpcodec.format import side_data
from rdpcodec.format.container import Container, Header
from rdpcodec.format.exact_layer import ExactLayer
from rdpcodec.format.hyper_latents import hyper_latent_coder
from rdpcodec.format.symbols import Symbols
from rdpcodec.format.tiles import tiles_of
from rdpcodec.groups import groups_of
from rdpcodec.image import ImageData, load_image
from rdpcodec.limits import MAX_PIXELS
from rdpcodec.mosaic import AnalysedTiles, CodedTiles, Mosaic, Region, region_of
from rdpcodec.operating_point import (
    OperatingPoint,
    Quality,
    Realism,
    point_from_arguments,
    point_or_quality,
)
from rdpcodec.targets import Bounds, Target
from rdpcodec.tile_codec import TileCodec
from rdpcodec.weights.manifest import DEFAULT_MODEL, find_model
from rdpcodec.weights.release import ReleasedModel

if TYPE_CHECKING:
    import torch

    from rdpcodec.image import Source

_log = logging.getLogger(__name__)


class Codec:
    """One model, loaded once, for any number of images. May be shared between threads.

    >>> codec = Codec()
    >>> files = codec.compress_batch([np.full((64, 64), gray, np.uint8) for gray in (0, 99)], quality=60)
    >>> codec.decompress_array(files[0]).shape
    (64, 64)
    """

    def __init__(
        self,
        model: str | ReleasedModel = DEFAULT_MODEL,
        device: str | torch.device = "cpu",
        *,
        engine: EngineName | None = None,
    ) -> None:
        """Load `model`, by name, onto `device`. Raises `WeightsError` for an unknown model or damaged
        weights, `UsageError` for a device that cannot be used.

        A `ReleasedModel` is used as it is; give one for weights that are not installed. engine: what runs
        the networks, "onnx" or "torch"; by default ONNX Runtime on the CPU, and torch on any other device.
        """
        started = time.perf_counter()
        released = model if isinstance(model, ReleasedModel) else ReleasedModel.load(find_model(model))
        self._released, self.weights = released, released.weights
        self.engine = make_engine(released, str(device), engine)
        self.tile_codec = TileCodec(
            self.engine,
            released.latent_tables,
            hyper_latent_coder(released.hyper_tables, released.context),
        )
        self._model, self._device, self._engine_name = model, str(device), engine
        _log.debug("%r loaded in %.2f s", self, time.perf_counter() - started)

    @cached_property
    def decoder_fingerprint(self) -> str:
        """Identifies the weights that turn symbols into pixels, 8 hexadecimal digits."""
        return self._released.decoder_fingerprint

    def __repr__(self) -> str:
        return f"<rdpcodec.Codec {self.weights} on {self._device}>"

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the class, the model as it was given, and the device. A name is enough to load the same
        weights again; a `ReleasedModel` is pickled with its tensors. A subclass that is made of more says so
        with a `__reduce__` of its own.
        """
        made_of = type(self), self._model, self._device, self._engine_name
        return _restored, (*made_of, self.weights.fingerprint, self.decoder_fingerprint)

    def __deepcopy__(self, memo: object) -> Codec:
        """The codec itself: nothing changes it."""
        return self

    # Image → file.

    def compress(
        self,
        image: Source,
        quality: Quality | OperatingPoint | None = None,
        *,
        target: Target | None = None,
        realism: Realism | None = None,
        effort: int | None = None,
        keep_metadata: bool = False,
        exact_alpha: bool = False,
        max_pixels: int = MAX_PIXELS,
    ) -> bytes:
        """Compress one image to the bytes of an .rdpc file.

        image: anything `rdpcodec.image.load_image` takes; keep_metadata, exact_alpha and max_pixels are
        passed to it. quality (0..100, or a `Target` or `Bounds` that the file must meet; 50 if not given),
        realism (0..1 or "auto"; 0) and effort (0..9; 0): see `OperatingPoint`. In place of a quality, an
        `OperatingPoint` such as one of `PRESETS` sets all three; a realism or an effort beside it replaces
        its own. target: the old way to give a target, deprecated.
        Raises `ImageError`, `UsageError`, and `WeightsError` for a model that only decodes. Warns with
        `ImageWarning` about what the file will not hold, and with `TargetWarning` about a target that every
        quality meets.
        """
        point = point_from_arguments(quality, target, realism, effort)
        (data,) = self.compress_batch(
            [image], point, keep_metadata=keep_metadata, exact_alpha=exact_alpha, max_pixels=max_pixels
        )
        return data

    def compress_batch(
        self,
        images: Sequence[Source] | torch.Tensor,
        point: Quality | OperatingPoint | None = None,
        *,
        quality: Quality | None = None,
        keep_metadata: bool = False,
        exact_alpha: bool = False,
        max_pixels: int = MAX_PIXELS,
        errors: dict[int, RdpError] | None = None,
    ) -> list[bytes]:
        """Compress several images. Those of equal size go through the networks together, as many as fit into
        the memory that one tile takes, unless each must meet a target.

        images: a sequence of what `compress` takes, or a tensor `[B, C, H, W]`. point: an operating point or
        a quality, which may also be given by that name; quality 50 if neither is given. errors: receives the
        error of every image that cannot be coded, under its place in the list, which then holds b"" there.
        Without it, the first such error is raised.
        """
        chosen = point_or_quality(point, quality)
        self.weights.check_encodes()
        self.weights.check_point(chosen)
        check_installed(chosen)
        sources = as_list(images)
        loaded: dict[int, ImageData] = {}
        for i, image in enumerate(sources):
            with collecting_errors(errors, i, sources):
                loaded[i] = load_image(
                    image, keep_metadata=keep_metadata, exact_alpha=exact_alpha, max_pixels=max_pixels
                )
        files: dict[int, bytes] = {}
        if isinstance(chosen.quality, (Target, Bounds)):  # each image finds a quality of its own
            for i, image in loaded.items():
                with collecting_errors(errors, i, sources):
                    files[i] = ImageEncoder(self.tile_codec, self.weights, image).encode(chosen)
            return [files.get(i, b"") for i in range(len(sources))]
        for members in groups_of({i: (image.size,) for i, image in loaded.items()}):
            encoders = [ImageEncoder(self.tile_codec, self.weights, loaded[i]) for i in members]
            symbols = self.analyse([encoder.image for encoder in encoders], chosen.quality)
            for i, encoder, tiles in zip(members, encoders, symbols, strict=True):
                with collecting_errors(errors, i, sources):
                    files[i] = encoder.encode_symbols(tiles, chosen.quality, chosen.realism, chosen.effort)
        return [files.get(i, b"") for i in range(len(sources))]

    def efforts(
        self,
        image: Source,
        quality: float = 50.0,
        *,
        realism: Realism = 0.0,
        keep_metadata: bool = False,
        exact_alpha: bool = False,
        max_pixels: int = MAX_PIXELS,
    ) -> Iterator[bytes]:
        """Files of one image at effort 0, 1, … 9, each as soon as it is found; stop when you have waited
        enough.

        Every search continues the one before: all ten take as long as the last one alone. All tiles of an
        image are searched at once, so memory grows with their number. quality: a number, not a target. The
        other arguments are those of `compress`.
        """
        if isinstance(quality, (Target, Bounds)):
            raise UsageError(f"target {quality}: efforts take a number as quality")
        self.weights.check_point(OperatingPoint(quality, realism))
        loaded = load_image(
            image, keep_metadata=keep_metadata, exact_alpha=exact_alpha, max_pixels=max_pixels
        )
        # The caller may use an array for other things before the last file is made.
        return ImageEncoder(self.tile_codec, self.weights, deepcopy(loaded)).efforts(quality, realism)

    def encoder(self, image: ImageData) -> Callable[[Quality | OperatingPoint], bytes]:
        """A function from operating points, or qualities, to files of one image, for when you need several.

        What all points share is computed once. The function raises `UsageError` for a point that the weights
        do not have.

        image: see `rdpcodec.image.load_image`.
        """
        if not isinstance(image, ImageData):
            kind = type(image).__name__
            raise UsageError(f"{kind}: an encoder takes what rdpcodec.image.load_image returns")
        # The caller may use an array for other things before the last file is made.
        encoder = ImageEncoder(self.tile_codec, self.weights, deepcopy(image))
        return lambda point: encoder.encode(point_or_quality(point))

    # File → image.

    def decompress(
        self,
        data: File,
        *,
        realism: float | None = None,
        region: Region | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> Image.Image:
        """Decompress an .rdpc file to a Pillow image of mode L, LA, RGB or RGBA.

        data: the bytes of the file, its path, or an open binary file. realism: 0..1, instead of the file's
        own default. region: left, top, width and height of the part to return; only its tiles are decoded.
        max_pixels: the most pixels that the whole image may have; a small file can claim 2^28.

        Raises `FormatError` for damaged or foreign data and for larger images, `WeightsError` when the file
        needs other weights than this codec's, `UsageError` for a region outside the image or a file that
        cannot be read. Warns with `ImageWarning` about alpha and metadata that are damaged and left out.
        """
        return self.decompress_batch([data], realism=realism, region=region, max_pixels=max_pixels)[0]

    @overload
    def decompress_batch(
        self,
        files: Sequence[File],
        *,
        realism: float | None = None,
        region: Region | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> list[Image.Image]: ...

    @overload
    def decompress_batch(
        self,
        files: Sequence[File],
        *,
        realism: float | None = None,
        region: Region | None = None,
        max_pixels: int = MAX_PIXELS,
        errors: dict[int, RdpError] | None,
    ) -> list[Image.Image | None]: ...

    def decompress_batch(
        self,
        files: Sequence[File],
        *,
        realism: float | None = None,
        region: Region | None = None,
        max_pixels: int = MAX_PIXELS,
        errors: dict[int, RdpError] | None = None,
    ) -> Sequence[Image.Image | None]:
        """Decompress several files. Those of equal size, quality and realism go through the networks
        together, as many as fit into the memory that one tile takes.

        errors: receives the error of every file that cannot be decoded, under its place in the list, which
        then holds None there. Without it, the first such error is raised.
        """
        sources, containers = as_list(files), dict[int, Container]()
        for i, data in enumerate(sources):
            with collecting_errors(errors, i, sources):
                containers[i] = container_of(data, max_pixels)
        decoded = self._decoded(containers, realism, region, errors, sources)
        return [decoded[i].to_pillow() if i in decoded else None for i in range(len(sources))]

    def decompress_array(
        self,
        data: File,
        *,
        realism: float | None = None,
        region: Region | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> np.ndarray:
        """Like `decompress`, but to a uint8 array.

        `[H, W]` for gray, `[H, W, 2]` for gray and alpha, `[H, W, 3]` for RGB, `[H, W, 4]` for RGBA.
        """
        with named(data):
            return self.decode([container_of(data, max_pixels)], realism, region)[0].to_array()

    def decompress_tensor(
        self,
        data: File,
        *,
        realism: float | None = None,
        region: Region | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> torch.Tensor:
        """Like `decompress`, but to a uint8 tensor `[C, H, W]`, C = 1 to 4, on the codec's device.

        Needs torch.
        """
        need_torch("a tensor")
        import torch

        array = self.decompress_array(data, realism=realism, region=region, max_pixels=max_pixels)
        channels_last = torch.from_numpy(array.reshape(*array.shape[:2], -1))
        return channels_last.to(self._device).permute(2, 0, 1).contiguous()

    def decode(
        self, files: Sequence[Container], realism: float | None = None, region: Region | None = None
    ) -> list[ImageData]:
        """Decode files that are already parsed. Arguments and errors are those of `decompress`."""
        decoded = self._decoded(dict(enumerate(files)), realism, region, None, files)
        return [decoded[i] for i in range(len(files))]

    def _decoded(
        self,
        files: Mapping[int, Container],
        realism: float | None,
        region: Region | None,
        errors: dict[int, RdpError] | None,
        sources: Sequence[object],
    ) -> dict[int, ImageData]:
        """The images of files, by their places; errors as in `decompress_batch`. sources: what they name."""
        keys: dict[int, tuple[tuple[int, int], float, float]] = {}
        for i, file in files.items():
            with collecting_errors(errors, i, sources):
                header = file.header
                keys[i] = header.image_size, header.quality, self._checked_realism(header, realism)
        images: dict[int, ImageData] = {}
        for members in groups_of(keys):
            _, _, chosen = keys[members[0]]
            pixels: dict[int, np.ndarray] = {}
            if len(members) > 1:
                with suppress(RdpError):  # if one of them is damaged, each is decoded alone
                    together = self._pixels([files[i] for i in members], chosen, region)
                    pixels |= zip(members, together, strict=True)
            for i in members:
                with collecting_errors(errors, i, sources):
                    array = pixels[i] if i in pixels else self._pixels([files[i]], chosen, region)[0]
                    box = region_of(region, files[i].header.image_size)
                    images[i] = side_data.unpack(array, files[i], box)
        return images

    def _checked_realism(self, header: Header, realism: float | None) -> float:
        """The realism to decode a file at. Raises as `decompress` does if this codec cannot."""
        chosen = realism_in(header, realism)
        self.weights.check_file(header)
        self.weights.check_point(OperatingPoint(header.quality, chosen))
        return chosen

    def _pixels(self, files: Sequence[Container], realism: float, region: Region | None) -> np.ndarray:
        """The pixels of files of one size and quality, uint8 `[B, H, W, 3]`. Raises `RdpError` if one of the
        files is damaged.
        """
        header = files[0].header
        box = region_of(region, header.image_size)
        self.engine.prepare(realism)
        tiles = CodedTiles(self.tile_codec, files)
        mosaic = Mosaic(self.engine, tiles, header.image_size, header.quality, tiles.exact)
        return mosaic.decode(box, realism)

    # Symbols, for export and measurements.

    def analyse(self, images: Sequence[ImageData], quality: float) -> list[list[Symbols]]:
        """Images of one size → the symbols of their tiles, row by row. Raises as `compress` does."""
        self.weights.check_encodes()
        return AnalysedTiles(self.engine, [image.pixels for image in images]).symbols(quality)

    def decode_symbols(self, files: Sequence[Container]) -> list[list[Symbols]]:
        """The symbols of the tiles of each file; all files have one size and quality.

        Raises `FormatError` when the data does not fit.
        """
        return [list(tiles) for tiles in zip(*CodedTiles(self.tile_codec, files), strict=True)]

    def synthesise(
        self,
        symbols: Sequence[Sequence[Symbols]],
        quality: float,
        size: tuple[int, int],
        *,
        realism: float = 0.0,
    ) -> np.ndarray:
        """Symbols of the tiles of images, all of `size` (width, height) → pixels, uint8 `[B, H, W, 3]`.

        realism: 0..1, for models that have the setting. Between 0 and 1 two decodings are mixed: see
        `rdpcodec.engine.torch.mixed`.
        """
        tiles = list(zip(*symbols, strict=True))
        exact = [ExactLayer.empty(tiles_of(size))] * len(symbols)
        return Mosaic(self.engine, tiles, size, quality, exact).decode(region_of(None, size), realism)


def _restored(
    kind: type[Codec],
    model: str | ReleasedModel,
    device: str,
    engine: EngineName | None,
    *fingerprints: object,
) -> Codec:
    """Restore a pickled codec. Raises `WeightsError` if other weights are installed under its name."""
    shared = kind is Codec and isinstance(model, str) and engine is None
    codec = shared_codec(str(model), device) if shared else kind(model, device, engine=engine)
    found = codec.weights
    if (found.fingerprint, codec.decoder_fingerprint) != fingerprints:
        raise WeightsError(f"model {found.name!r} has different weights here from those it was pickled with")
    return codec


_loading = ForkLock()


@lru_cache(maxsize=4)
def loaded_codec(model: str, device: str) -> Codec:
    """A codec, loaded once. `shared_codec` keeps two threads from loading it at the same time."""
    return Codec(model, device)


def shared_codec(model: str = DEFAULT_MODEL, device: str = "cpu") -> Codec:
    """A codec that the module-level functions share, loaded on first use."""
    with _loading.lock:
        return loaded_codec(find_model(model).name, str(device))
