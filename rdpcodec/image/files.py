"""Opening image files: Pillow's plugins, under our own limits, whatever the decoders raise.

`Image.open` is not used: its limit is 179 megapixels and ours is 268, and silencing its warning would change
the filters of the whole process. The rest of what it does is done here.
"""

from __future__ import annotations

import io
import os
import re
import struct
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib import import_module
from typing import IO

from PIL import Image

from rdpcodec.errors import ImageError, RdpError, UsageError, reason
from rdpcodec.file_type import EXTENSION, PILLOW_FORMAT, SIGNATURE
from rdpcodec.files.source import ASYNCHRONOUS, OPEN_AS_TEXT, File, is_asynchronous, name_of, read_source
from rdpcodec.fork_lock import ForkLock
from rdpcodec.limits import MAX_PIXELS, check_size

# Pillow knows these formats but cannot decode them without a handler from the user. For WMF, Windows has one.
_UNDECODABLE = {"BUFR", "GRIB", "HDF5", "MPEG", *(() if sys.platform == "win32" else ("WMF",))}
# What is read only if asked for by name: EPS runs a program, Ghostscript, and the others hold a file of
# another format, whose size and scans only Pillow sees.
_ON_REQUEST = {
    "EPS": "it is a program, which Ghostscript would run",
    **dict.fromkeys(
        ("BLP", "FPX", "IPTC", "MIC"), "it holds a file of another format, which may claim anything"
    ),
}
_READ_AS = {"MPO": "JPEG"}  # Pillow's plugin of one format reads the other too
# A scan of a JPEG takes 39 bytes, and half a nanosecond per pixel. Encoders write about ten scans; the
# fuzzers of libjpeg-turbo stop at 500.
MAX_SCANS = 100
_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")  # what is not part of a scan's data
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_PREFIX = 16  # bytes by which Pillow's plugins know their formats
_PLUGINS = {"pillow_heif": "HEIC", "pillow_jxl": "JPEG XL"}
# What files of the plugins' formats begin with, and Pillow's names of the formats.
_HINTS = (
    (re.compile(rb"....ftyp(?:hei|hev|mif1|msf1)", re.DOTALL), "HEIC", "HEIF"),
    (re.compile(rb"\xff\x0a|\0\0\0\x0cJXL ", re.DOTALL), "JPEG XL", "JXL"),
)
# What files of drawings and pages begin with: they have no pixels yet.
_UNRENDERED = ((re.compile(rb"%PDF-"), "PDF"), (re.compile(rb"\s*<(svg|\?xml)"), "SVG"))
_PLUGIN_SUFFIXES = {".heic": "HEIC", ".heif": "HEIC", ".hif": "HEIC", ".jxl": "JPEG XL"}
_raising = ForkLock()
_limit_before: int | None = None  # Pillow's limit when it was last raised, perhaps now and by another thread


@cache
def register_plugins() -> frozenset[str]:
    """Teach Pillow the formats whose plugins are installed (the extra `formats`). Returns their names."""
    known = set()
    for module, name in _PLUGINS.items():
        try:
            plugin = import_module(module)
        except ImportError:
            continue
        if module == "pillow_heif":
            plugin.register_heif_opener()
        known.add(name)
    return frozenset(known)


def missing_plugin(suffix: str) -> str:
    """What files of an extension need, in words, if it is a plugin that is not installed; otherwise empty."""
    name = _PLUGIN_SUFFIXES.get(suffix)
    return _needs_plugin(name) if name and name not in register_plugins() else ""


def _needs_plugin(name: str) -> str:
    return f"{name} needs a plugin: pip install 'rdpcodec[formats]'"


def readable_extensions() -> set[str]:
    """Extensions of the files that can be read, in lower case, with their dot; .rdpc is not one."""
    register_plugins()
    return set(filter(_reads, Image.registered_extensions()))


def is_readable(suffix: str) -> bool:
    """Whether `suffix` is one of `readable_extensions`; common ones are known at once."""
    Image.preinit()
    return _reads(suffix) or suffix in readable_extensions()


def _reads(suffix: str) -> bool:
    """Whether the plugins imported so far read files of an extension."""
    written = Image.EXTENSION.get(suffix, "")
    name = _READ_AS.get(written, written)
    return name in Image.OPEN and name not in {*_UNDECODABLE, *_ON_REQUEST} and suffix != EXTENSION


@contextmanager
def opened(
    source: File, max_pixels: int = MAX_PIXELS, formats: Sequence[str] | None = None
) -> Iterator[Image.Image]:
    """The image of a file, not decoded yet. formats: Pillow's names of the formats to try; None for all but
    those that are read on request.

    Raises `ImageError`, also in place of whatever a decoder raises within the context.
    """
    if isinstance(formats, str):
        raise UsageError(f"formats {formats!r}: give a list, such as {[formats]}")
    with as_image_error(name_of(source)), _seekable(source) as file, ExitStack() as stack:
        names = None if formats is None else [name.upper() for name in formats]  # as Pillow has them
        try:
            image = _identified(file, names)
            larger = _over_pillows_limit(image)
        except Image.DecompressionBombError:  # plugins that check the size themselves
            larger = True
        if larger:
            stack.enter_context(_pillows_limit_raised())
            image = _identified(file, names)
        stack.enter_context(image)
        _check(image, file, max_pixels)
        yield image


@contextmanager
def _seekable(source: File) -> Iterator[IO[bytes]]:
    """A file as Pillow's plugins need it; a file that was given open stays open."""
    if isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as opened_here:
            yield opened_here if opened_here.seekable() else io.BytesIO(opened_here.read())
    elif isinstance(source, (bytes, bytearray, memoryview)):
        yield io.BytesIO(source)
    elif is_asynchronous(source):
        raise ImageError(ASYNCHRONOUS)
    else:
        file: IO[bytes] = source
        try:
            file.seek(0)
        except (AttributeError, OSError):  # a pipe, a socket
            file = io.BytesIO(read_source(source, ImageError))
        yield file


@contextmanager
def as_image_error(name: str) -> Iterator[None]:
    """Turn whatever a decoder raises into our error, in one line that names the file.

    Pillow's plugins raise `struct.error`, `TypeError`, `AssertionError` and more on damaged files; its manual
    advises catching everything.
    """
    try:
        yield
    except FileNotFoundError:
        raise ImageError(f"{name}: no such file") from None
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error.__cause__
    except (RdpError, MemoryError, Warning):  # a warning that the caller has turned into an error
        raise
    except Exception as error:
        raise ImageError(f"{name}: cannot be read: {reason(error)}") from error


def _identified(file: IO[bytes], formats: list[str] | None) -> Image.Image:
    """What `Image.open` does, without its limit. Raises `ImageError`, or what a plugin raises."""
    file.seek(0)
    try:
        prefix = file.read(_PREFIX)
    except UnicodeDecodeError:
        raise ImageError(OPEN_AS_TEXT) from None
    if not isinstance(prefix, bytes):
        raise ImageError(OPEN_AS_TEXT)
    if not prefix:
        raise ImageError("the file is empty")
    for name in _formats() if formats is None else _imported(formats):
        factory, accept = Image.OPEN.get(name, (None, None))
        if factory is None:  # this Pillow was built without it, or its plugin is not installed
            continue
        try:
            accepted = accept is None or accept(prefix)
            if accepted and not isinstance(accepted, str):  # text says what is missing
                file.seek(0)
                return factory(file, "")
        except (SyntaxError, IndexError, TypeError, struct.error):  # not this format after all
            continue
    raise ImageError(_unknown(prefix, formats))


def _formats() -> Iterator[str]:
    """Pillow's names of what is read unasked, the common formats first: they need not wait for the others'
    plugins.
    """
    Image.preinit()
    others = {*_ON_REQUEST, PILLOW_FORMAT}  # coding .rdpc files again loses detail
    yield from (common := [name for name in Image.ID if name not in others])
    Image.init()
    register_plugins()
    yield from (name for name in Image.ID if name not in {*common, *others})


def _imported(formats: list[str]) -> list[str]:
    """The formats given, with the plugins imported that read them: the common ones, and all others only if
    they are needed.
    """
    Image.preinit()
    if not Image.OPEN.keys() >= set(formats):
        Image.init()
        register_plugins()
    return formats


def _unknown(prefix: bytes, formats: list[str] | None) -> str:
    """Why a file cannot be read, in words."""
    for pattern, name, in_pillow in _HINTS:
        asked = formats is None or in_pillow in formats
        if asked and pattern.match(prefix) and name not in register_plugins():
            return _needs_plugin(name)
    if prefix.startswith(SIGNATURE):
        return "is an .rdpc file, compressed already"
    if formats is None:
        for name, why in _ON_REQUEST.items():
            _, accept = Image.OPEN.get(name, (None, None))
            if accept is not None and accept(prefix):
                return f"{name} files are read only by load_image(…, formats={[name]}): {why}"
        for pattern, name in _UNRENDERED:
            if pattern.match(prefix):
                return f"{name} has no pixels of its own: render it first"
    else:
        known = [name for name in formats if name in Image.OPEN]
        return f"not an image in one of the formats {', '.join(known or formats)}"
    return "not an image in a format that Pillow reads"


def _check(image: Image.Image, file: IO[bytes], max_pixels: int) -> None:
    """Refuse an image before it is decoded. Raises `ImageError`."""
    check_size(*image.size, ImageError, max_pixels)
    if image.format in ("JPEG", "MPO"):
        position = file.tell()
        file.seek(0)
        if scans_of(file.read()) > MAX_SCANS:
            raise ImageError(f"a JPEG of more than {MAX_SCANS} scans, which are only there to waste time")
        file.seek(position)


def scans_of(data: bytes) -> int:
    """How many scans a JPEG has, from its markers alone; counting ends soon after `MAX_SCANS`."""
    position, scans = 2, 0
    while scans <= MAX_SCANS and (found := _MARKER.search(data, position)):
        position, kind = found.end(), found[1][0]
        if kind == _END_OF_IMAGE:
            break
        scans += kind == _START_OF_SCAN
        position += int.from_bytes(data[position : position + 2], "big")
    return scans


def _over_pillows_limit(image: Image.Image) -> bool:
    limits = (Image.MAX_IMAGE_PIXELS, _limit_before)
    return any(limit is not None and image.width * image.height > limit for limit in limits)


@contextmanager
def _pillows_limit_raised() -> Iterator[None]:
    """Raise Pillow's limit to ours, since some plugins check it again while they decode. The limit belongs to
    the whole process, so one thread at a time raises it, and no further.
    """
    global _limit_before
    with _raising.lock:
        before = _limit_before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = MAX_PIXELS
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before
