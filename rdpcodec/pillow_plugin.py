"""Pillow opens and saves .rdpc once this module is imported.

    import rdpcodec.pillow_plugin
    from PIL import Image

    Image.open("photo.png").save("photo.rdpc", quality=40)
    image = Image.open("photo.rdpc")  # size, mode and info at once; pixels are decoded at load()
    image.save("smaller.rdpc", quality=20)

Importing it does not import torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Real
from typing import IO, Any

from PIL import Image, ImageFile

from rdpcodec import file_type
from rdpcodec.errors import FormatError, RdpError, UsageError
from rdpcodec.format import container
from rdpcodec.format.container import ALPHA_SEGMENTS, Header, Segment
from rdpcodec.metadata import (
    GivenResolution,
    cleaned_exif,
    left_out,
    orientation_of,
    resolution_of,
    upright,
    without_geometry,
)
from rdpcodec.operating_point import OperatingPoint, Realism, point_from_options
from rdpcodec.targets import Bounds, Target
from rdpcodec.weights.manifest import DEFAULT_MODEL, model_for_file, model_name

FORMAT = file_type.PILLOW_FORMAT
_SETTINGS = ("preset", "quality", "target", "realism", "effort")
_OF_FILE = {"filename", "tag_v2"}  # what Pillow's images know of their files, and copies do not
_METADATA = {"exif": (bytes, Image.Exif), "xmp": (bytes, str), "icc_profile": (bytes,)}


class RdpImageFile(ImageFile.ImageFile):
    """An .rdpc file, decoded when its pixels are first needed.

    `info` has quality (0..100), realism (0..1, the file's default) and model, and icc_profile, exif, xmp and
    dpi if the file has them. A header of another format or version makes Pillow raise
    `UnidentifiedImageError`. Other damage raises `OSError`: on opening if segments do not fit together,
    otherwise from `verify` and `load`.
    """

    format = FORMAT
    format_description = "rdpcodec, a learned lossy codec"

    _header: Header
    _realism: float | None = None
    _decoded = False

    def _open(self) -> None:
        assert self.fp is not None
        try:
            self._header = header = container.read_header(self.fp.read(container.MAX_HEADER))[0]
        except FormatError as error:
            raise SyntaxError(str(error)) from error
        with self._damage_is_an_oserror():
            _, places = container.layout(self.fp)
            self._size = header.image_size
            self._mode = ("L" if Segment.GRAY in places else "RGB") + "A" * any(
                kind in places for kind in ALPHA_SEGMENTS
            )
            realism = container.decimal_realism(header.realism)
            self.info |= {"quality": header.quality, "realism": realism, "model": model_name(header)}
        for name, kind in (("icc_profile", Segment.ICC), ("exif", Segment.EXIF), ("xmp", Segment.XMP)):
            if kind in places:
                self._take(name, kind, places[kind])

    def _take(self, name: str, kind: Segment, place: range) -> None:
        """Put the metadata of a segment into `info`; if damaged, leave it out with a warning."""
        assert self.fp is not None
        self.fp.seek(place.start)
        try:
            data = self._cleaned(kind, container.inflate(self.fp.read(len(place))))
        except FormatError as error:
            left_out(f"the {kind.name} segment", error)
            return
        if data is None:
            return
        self.info[name] = data
        if kind == Segment.EXIF and (resolution := resolution_of(data)):
            self.info["dpi"] = resolution

    def _cleaned(self, kind: Segment, data: bytes) -> bytes | None:
        """What may be passed on of a segment's metadata; None, with a warning, if nothing."""
        if kind == Segment.EXIF:
            return cleaned_exif(data)
        if kind == Segment.ICC:
            from rdpcodec.image.colour import cleaned_profile  # imports littleCMS

            return cleaned_profile(data, self._mode.removesuffix("A"))
        return data

    @property
    def realism(self) -> float:
        """Realism of decoding, 0..1: the file's default, or the value set before pixels are decoded.

        Setting it raises `UsageError` for a value out of range, a model without it, or after decoding.
        """
        return self._header.realism if self._realism is None else self._realism

    @realism.setter
    def realism(self, realism: Realism) -> None:
        if self._decoded:
            raise UsageError(
                "the image has already been decoded: open it again, and set realism before its use"
            )
        if isinstance(realism, str):
            raise UsageError(f"realism {realism!r}: give a number from 0 to 1; only an encoder can choose")
        model_for_file(self._header).weights.check_point(OperatingPoint(realism=realism))
        self._realism = realism

    def verify(self) -> None:
        """Check the checksum, without decoding. Raises `OSError`. Closes the file, as `Image.verify` does."""
        data = self._read()
        with self._damage_is_an_oserror():
            container.read(data)
        super().verify()

    def load(self) -> Any:
        """Decode on the first call. Raises `OSError` for damaged files and weights that are not installed."""
        if not self._decoded:
            from rdpcodec.functions import decompress

            data = self._read()
            with self._damage_is_an_oserror():
                decoded = decompress(data, realism=self._realism)
            self._mode, self.im = decoded.mode, decoded.im  # a damaged alpha channel is left out
            self._decoded, self.readonly = True, 0
            if self._exclusive_fp and self.fp is not None:
                self.fp.close()
            self.fp = None
        return super().load()

    def _read(self) -> bytes:
        if self.fp is None:
            raise OSError("verify and load read the file, and close it: open it again")
        self.fp.seek(0)
        return self.fp.read()

    def __getstate__(self) -> list[Any]:
        """What Pillow keeps of a decoded image, and the realism of decoding."""
        return [*super().__getstate__(), self.realism]

    def __setstate__(self, state: list[Any]) -> None:
        """Restore what `__getstate__` returned: a copy has pixels, but no file."""
        *pillows, self._realism = state
        self.fp, self._decoded = None, True
        super().__setstate__(pillows)

    @contextmanager
    def _damage_is_an_oserror(self) -> Iterator[None]:
        """Raise what callers of Pillow expect for files that cannot be read."""
        try:
            yield
        except RdpError as error:
            name = self.filename.decode() if isinstance(self.filename, bytes) else self.filename
            raise OSError(f"{name}: {error}" if name else str(error)) from error


def _save(image: Image.Image, file: IO[bytes], filename: str | bytes) -> None:
    """Options of `Image.save`: quality, target, preset, realism, effort (see `point_from_options`); model;
    exif, xmp, dpi, which goes before that of exif; icc_profile, by default the image's own; exact_alpha, as
    in `rdpcodec.compress`.

    As everywhere in rdpcodec, EXIF orientation is applied, since the format has none. Pillow loads an image
    before it saves it, and thereby forgets parts of a PNG (see `rdpcodec.image.load_image`). They are taken
    from its file, if it was opened by its path. Of a PNG that was opened otherwise they are lost without a
    warning: give that to `rdpcodec.compress`.
    """
    from rdpcodec.functions import compress
    from rdpcodec.image.loading import has_more_frames

    options: dict[str, Any] = image.encoderinfo
    # Like Pillow's own writers: the profile is kept unless another one or None is given; the rest is written
    # only if given.
    _check_metadata(options)
    profile = options.get("icc_profile", image.info.get("icc_profile"))
    exif, xmp, dpi = (options.get(name) for name in ("exif", "xmp", "dpi"))
    if isinstance(xmp, str):
        xmp = xmp.encode()
    if exif is None and isinstance(xmp, bytes) and orientation_of(image) != 1:  # it is applied here
        xmp = without_geometry(xmp)
    copied = upright(image) if exif is None else image.copy()
    # What pixels mean depends on their format: a PNG may have a gamma, and in a TIFF zero may be white.
    copied.format = image.format
    vars(copied).update({name: vars(image)[name] for name in _OF_FILE & vars(image).keys()})
    vars(copied)["is_animated"] = image.tell() == 0 and has_more_frames(image)
    copied.info |= {
        "XML:com.adobe.xmp": None,
        "comment": None,
        "exif": exif.tobytes() if isinstance(exif, Image.Exif) else exif or b"",
        "icc_profile": profile,
        "xmp": xmp,
        "dpi": None if dpi is None else GivenResolution(dpi),
    }
    model, exact_alpha = options.get("model", DEFAULT_MODEL), bool(options.get("exact_alpha"))
    file.write(compress(copied, _point(options), model=model, exact_alpha=exact_alpha, keep_metadata=True))


def _check_metadata(options: dict[str, Any]) -> None:
    """Raise `UsageError` for options of `Image.save` that are no metadata of the kinds that it takes."""
    for name, kinds in _METADATA.items():
        if not isinstance(value := options.get(name), (*kinds, type(None))):
            takes = " or ".join(kind.__name__ for kind in kinds)
            raise UsageError(f"{name} is of type {type(value).__name__}: give {takes}")
    dpi = options.get("dpi")
    if dpi is None:
        return
    try:
        across, down = dpi
    except (TypeError, ValueError):
        across = down = None
    if not (isinstance(across, Real) and isinstance(down, Real)):
        raise UsageError(f"dpi {dpi!r}: give two numbers, such as (300, 300)")


def _point(options: dict[str, Any]) -> OperatingPoint:
    """The operating point that options of `Image.save` ask for. Raises `UsageError`."""
    target = options.get("target")
    if target is not None and not isinstance(target, (Target, Bounds)):
        raise UsageError(f"target {target!r}: give a rdpcodec.Target, such as Target.bpp(0.3)")
    return point_from_options(**{name: options.get(name) for name in _SETTINGS})


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(file_type.SIGNATURE)


Image.register_open(FORMAT, RdpImageFile, _accept)
Image.register_save(FORMAT, _save)
Image.register_extension(FORMAT, file_type.EXTENSION)
Image.register_mime(FORMAT, file_type.MIME_TYPE)
