"""The work on one image, compression or decompression, and its outcome.

Networks are loaded only once there is an image to work on; planning a run does not need them.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Generator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, ClassVar

from rdpcodec.arguments import check_realism, realism_in
from rdpcodec.batch.plan import Task
from rdpcodec.errors import RdpError, UsageError, collected_warnings, in_a_line, one_line
from rdpcodec.file_type import EXTENSION
from rdpcodec.files import storage
from rdpcodec.format import container
from rdpcodec.format.container import Header, decimal_realism
from rdpcodec.limits import MAX_PIXELS
from rdpcodec.operating_point import OperatingPoint
from rdpcodec.weights.manifest import DEFAULT_MODEL

if TYPE_CHECKING:
    from PIL import Image

    from rdpcodec.mosaic import Region

DIED = "the worker process died, perhaps for lack of memory: try fewer workers"


@dataclass(frozen=True)
class Outcome:
    """What became of a task: a line of the manifest."""

    source: str
    output: str
    bytes_before: int | None = None
    bytes_after: int | None = None
    bpp: float | None = None  # bits per pixel of the .rdpc file
    quality: float | None = None  # 0..100, of the .rdpc file
    realism: float | None = None  # 0..1, of decoding: the .rdpc file's own, or the one that was asked for
    seconds: float | None = None
    warnings: tuple[str, ...] = ()
    error: str | None = None  # one line that names the file

    @classmethod
    def of(
        cls,
        task: Task,
        sizes: tuple[int | None, int],
        header: Header,
        bpp: float,
        realism: float | None = None,
    ) -> Outcome:
        """The outcome of a task that was done.

        sizes: bytes before and after; header and bpp: those of the .rdpc file, be it source or output;
        realism: that of decoding, if not the file's own.
        """
        decoded_at = decimal_realism(realism_in(header, realism))
        return cls(task.source, task.output, *sizes, round(bpp, 4), header.quality, decoded_at)

    def to_json(self) -> str:
        """One line, without unknown values."""
        return json.dumps({key: value for key, value in asdict(self).items() if value not in (None, ())})


@dataclass(frozen=True)
class Compression:
    """Images → .rdpc files."""

    point: OperatingPoint = field(default_factory=OperatingPoint)
    model: str = DEFAULT_MODEL
    keep_metadata: bool = False
    exact_alpha: bool = False
    device: str = "cpu"
    max_side: int | None = None  # pixels: larger images are scaled down
    max_pixels: int = MAX_PIXELS  # larger images are refused
    suffix: ClassVar[str] = EXTENSION

    def converted(self, data: bytes, task: Task) -> bytes:
        """The bytes of an image's file → those of its .rdpc file."""
        file = io.BytesIO(data)
        file.name = task.source  # for errors
        return self.coded(file, task.source)

    def coded(self, source: Path | BinaryIO, name: object) -> bytes:
        """An image's file → the bytes of its .rdpc file. Raises and warns as `Codec.compress` does.

        name: what errors call the image.
        """
        from rdpcodec.codec import shared_codec
        from rdpcodec.image import load_image
        from rdpcodec.image.scaling import scaled_down

        codec = shared_codec(self.model, self.device)
        image = load_image(
            source, keep_metadata=self.keep_metadata, exact_alpha=self.exact_alpha, max_pixels=self.max_pixels
        )
        try:
            return codec.encoder(scaled_down(image, self.max_side))(self.point)
        except UsageError as error:  # a target that this image cannot meet
            raise UsageError(f"{name}: {error}") from error

    @staticmethod
    def extensions() -> set[str]:
        """Extensions of the files that are compressed in a folder."""
        from rdpcodec.image import readable_extensions

        return readable_extensions()


@dataclass(frozen=True)
class Decompression:
    """.rdpc files → images in the format of `suffix`; realism 0..1, None for the files' own."""

    suffix: str = ".png"
    realism: float | None = None
    device: str = "cpu"
    max_side: int | None = None  # pixels: larger images are scaled down
    max_pixels: int = MAX_PIXELS  # larger images are refused
    region: Region | None = None  # all of the image
    background: str | None = None  # the colour behind what is transparent; None keeps the alpha channel

    def __post_init__(self) -> None:
        """Raise `UsageError` for an impossible realism, and for what is no colour."""
        check_realism(self.realism)
        if self.background is not None:
            from rdpcodec.image import parsed_colour

            parsed_colour(self.background)

    def converted(self, data: bytes, task: Task) -> bytes:
        """The bytes of an .rdpc file → those of an image's file."""
        from rdpcodec.image import encode_image, writable_format

        return encode_image(self.image(data, task.source), writable_format(self.suffix), task.output)

    def image(self, data: bytes, source: object) -> Image.Image:
        """The image of an .rdpc file. source: what errors name. Raises `RdpError`."""
        from rdpcodec.functions import decompress
        from rdpcodec.image import on_background
        from rdpcodec.image.scaling import scaled_image

        try:
            image = decompress(
                data, realism=self.realism, region=self.region, device=self.device, max_pixels=self.max_pixels
            )
        except RdpError as error:
            raise type(error)(f"{source}: {error}") from error
        if self.background is not None:
            image = on_background(image, self.background)
        return scaled_image(image, self.max_side)

    @staticmethod
    def extensions() -> set[str]:
        """Extensions of the files that are decompressed in a folder."""
        return {EXTENSION}


Work = Compression | Decompression
Outcomes = Generator[Outcome, None, None]


def check_work(work: Work) -> None:
    """Raise `UsageError` if no image can be worked on: the device cannot be used, or a package or weights
    are not installed.
    """
    from rdpcodec.engine.choice import check_device

    check_device(work.device)
    if isinstance(work, Compression):
        from rdpcodec.encoder.needs import check_installed

        check_installed(work.point)


def prepare(work: Work, threads: int) -> None:
    """Make this process ready for `work`: set the networks' threads, and run `check_work`. Raises
    `UsageError`.

    threads: its share; `OMP_NUM_THREADS` takes precedence, as everywhere.
    """
    from rdpcodec.engine.threads import chosen_threads, use_threads

    use_threads(chosen_threads() or threads)
    check_work(work)


def process(task: Task, work: Work, *, force: bool) -> Outcome:
    """Do one task. Whatever goes wrong is in the outcome: one bad image never stops the rest."""
    started = time.perf_counter()
    with collected_warnings() as messages:
        try:
            if not force and storage.exists(task.output):
                return exists_already(task)
            storage.refuse_same_file(task.source, task.output)
            before = storage.read_file(task.source)
            after = work.converted(before, task)
            if not storage.write_file(task.output, after, overwrite=force):  # another run was faster
                return exists_already(task)
        except Exception as error:
            return failed(task, in_a_line(error, task.source))
    outcome = _done(task, work, len(before), len(after), after if isinstance(work, Compression) else before)
    if isinstance(work, Compression) and (note := note_of_growth(len(before), len(after))):
        messages.append(note)
    return replace(outcome, seconds=round(time.perf_counter() - started, 3), warnings=tuple(messages))


def note_of_growth(before: int, after: int) -> str:
    """A note on a compression that made a file no smaller, and what to do; empty for any other.

    It names no option: presets and targets set the quality too, and no quality may be small enough.
    """
    if after < before:
        return ""
    return (
        f"the output, {after} bytes, is no smaller than its input, {before} bytes: "
        "keep the input, unless a lower quality gives fewer bytes"
    )


def done_before(task: Task, work: Work) -> Outcome:
    """The outcome of a task that an earlier run finished, as far as its files tell. Raises `RdpError`."""
    before, after = storage.size(task.source), storage.size(task.output)
    coded = task.output if isinstance(work, Compression) else task.source
    return _done(task, work, before, after, storage.read_file(coded, container.MAX_HEADER))


def exists_already(task: Task) -> Outcome:
    """The outcome of a task that would overwrite something."""
    return failed(task, f"{task.output}: already exists; use --resume to skip it, --force to overwrite it")


def lost(task: Task, cause: str = DIED) -> Outcome:
    """The outcome of a task whose worker process died. Removes what the process left of its output."""
    storage.remove_partials([task.output])
    return failed(task, f"{task.source}: {cause}")


def failed(task: Task, error: str) -> Outcome:
    """The outcome of a task that could not be done. error: names the file."""
    return Outcome(task.source, task.output, error=one_line(error))


def _done(task: Task, work: Work, before: int, after: int, head: bytes) -> Outcome:
    header, _ = container.read_header(head)
    coded = after if isinstance(work, Compression) else before
    bpp = 8 * coded / (header.width * header.height)
    realism = None if isinstance(work, Compression) else work.realism
    return Outcome.of(task, (before, after), header, bpp, realism)
