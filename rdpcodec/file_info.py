"""What an .rdpc file holds, without decoding it: needs neither torch nor NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rdpcodec.errors import UsageError, WeightsError
from rdpcodec.file_type import SIGNATURE
from rdpcodec.files.source import File, is_file, named, read_source
from rdpcodec.format import container
from rdpcodec.weights.manifest import manifest, model_for_file, model_name


@dataclass(frozen=True)
class FileInfo:
    """What an intact file says about itself."""

    bytes: int
    format_version: int
    width: int
    height: int
    bpp: float  # bits per pixel
    gray: bool
    alpha: bool
    quality: float  # 0..100
    realism: float  # 0..1, the default for decoding
    model: str  # the one it needs: its name here, or the size of its networks if not installed
    fingerprint: str  # of the weights it needs, 8 hexadecimal digits
    weights_installed: bool
    segments: dict[str, int]  # bytes of each, by name

    def record(self) -> dict[str, Any]:
        """All fields, as JSON takes them."""
        return vars(self) | {"bpp": round(self.bpp, 4)}


def info(data: File) -> FileInfo:
    """What an .rdpc file holds, from its bytes, its path or an open binary file. Nothing is decoded.

    Raises `FormatError` for damaged or foreign data, `UsageError` if `data` is not a file or cannot be read,
    `WeightsError` if the manifest of the weights cannot be read.

    >>> from rdpcodec import compress
    >>> from PIL import Image
    >>> found = info(compress(Image.new("L", (60, 40)), 35))
    >>> found.width, found.height, found.gray, found.quality
    (60, 40, True, 35.0)
    """
    if not is_file(data):
        raise UsageError(f"info takes a file's bytes or path, not {type(data).__name__}")
    content = read_source(data, UsageError, SIGNATURE)
    with named(data):
        file = container.read(content)
    header = file.header
    manifest()  # where it cannot be read, nothing is known about what is installed
    try:
        model_for_file(header)
        installed = True
    except WeightsError:
        installed = False
    return FileInfo(
        bytes=len(content),
        format_version=file.version,
        width=header.width,
        height=header.height,
        bpp=len(content) * 8 / (header.width * header.height),
        gray=file.gray,
        alpha=file.alpha,
        quality=header.quality,
        realism=container.decimal_realism(header.realism),
        model=model_name(header),
        fingerprint=header.fingerprint.hex(),
        weights_installed=installed,
        segments={kind.name.lower(): len(payload) for kind, payload in file.segments.items()},
    )
