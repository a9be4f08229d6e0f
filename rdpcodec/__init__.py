"""rdpcodec: a learned image codec with three settings (quality, realism, effort) and one bitstream.

    import rdpcodec
    data = rdpcodec.compress("photo.png", quality=40)
    image = rdpcodec.decompress(data)  # a Pillow image

Importing this package loads no networks; the first image does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rdpcodec.errors import (
    FormatError,
    ImageError,
    ImageWarning,
    OutputError,
    RdpError,
    RdpWarning,
    TargetWarning,
    UsageError,
    WeightsError,
)

if TYPE_CHECKING:
    from rdpcodec.codec import Codec
    from rdpcodec.engine.threads import use_threads
    from rdpcodec.file_info import FileInfo, info
    from rdpcodec.functions import compress, decompress
    from rdpcodec.operating_point import PRESETS, OperatingPoint
    from rdpcodec.targets import Bounds, Target

__version__ = "0.2.0.dev0"
__all__ = [
    "PRESETS",
    "Bounds",
    "Codec",
    "FileInfo",
    "FormatError",
    "ImageError",
    "ImageWarning",
    "OperatingPoint",
    "OutputError",
    "RdpError",
    "RdpWarning",
    "Target",
    "TargetWarning",
    "UsageError",
    "WeightsError",
    "compress",
    "decompress",
    "info",
    "use_threads",
]

_LAZY = {
    "Bounds": "rdpcodec.targets",
    "Codec": "rdpcodec.codec",
    "compress": "rdpcodec.functions",
    "decompress": "rdpcodec.functions",
    "FileInfo": "rdpcodec.file_info",
    "info": "rdpcodec.file_info",
    "OperatingPoint": "rdpcodec.operating_point",
    "PRESETS": "rdpcodec.operating_point",
    "Target": "rdpcodec.targets",
    "use_threads": "rdpcodec.engine.threads",
}
_RENAMED = {"PictureError": "ImageError", "PictureWarning": "ImageWarning"}


def __getattr__(name: str) -> Any:
    """Import slow modules on first use (PEP 562), and accept old names with a warning."""
    if name in _RENAMED:
        from rdpcodec.errors import warn

        warn(f"rdpcodec.{name} is now rdpcodec.{_RENAMED[name]}", DeprecationWarning)
        return globals()[_RENAMED[name]]
    if name not in _LAZY:
        raise AttributeError(f"module 'rdpcodec' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    """The public names, for completion."""
    return sorted([*__all__, "__version__"])
