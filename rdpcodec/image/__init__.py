"""Images as users have them ⇄ pixels as the codec works on them, and what must survive beside them.

The codec sees 8-bit sRGB. Whatever else a source has is carried (alpha, gray, and on request EXIF, XMP,
resolution and ICC profile), converted (profiles, gamma, CMYK, palettes), or given up with a warning (16 bits,
further frames).
"""

from typing import TYPE_CHECKING

from rdpcodec.errors import ImageWarning
from rdpcodec.image.files import is_readable, missing_plugin, readable_extensions
from rdpcodec.image.image_data import ImageData
from rdpcodec.image.loading import load_image
from rdpcodec.image.saving import encode_image, is_writable, on_background, parsed_colour, writable_format

if TYPE_CHECKING:
    from rdpcodec.image.loading import Source as Source

__all__ = [
    "ImageData",
    "ImageWarning",
    "encode_image",
    "is_readable",
    "is_writable",
    "load_image",
    "missing_plugin",
    "on_background",
    "parsed_colour",
    "readable_extensions",
    "writable_format",
]
