"""What an EXIF block claims to hold, counted before its values become Python objects.

A few kilobytes of hostile data, deflated, can claim millions of numbers, and the same bytes again and again.
Pillow reads the blocks of some formats as it opens them, before they can be counted here; from version 13 on
it bounds the bytes that they claim, as it does for the tags of a TIFF.
Importing this module imports nothing but the standard library.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

# Cameras write about a hundred tags, each with a few numbers.
MOST_NUMBERS = 10_000
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
_WHOLE = (1, 2, 7)  # types whose values stay bytes or text
_FOLDERS = (0x8769, 0x8825, 0xA005)  # EXIF, GPS, interoperability
_INLINE = 4
_PREFIX = b"Exif\0\0"
# EXIF allows LONG alone for the place of a folder, but Pillow takes any integer.
_PLACES = {3: "H", 4: "I", 6: "B", 8: "H", 9: "I", 13: "I", 16: "Q"}


def check_claims(data: bytes) -> None:
    """Raise `ValueError` if an EXIF block claims more tags and numbers than `MOST_NUMBERS`, or more bytes of
    values than it has bytes. Other damage is left to whoever reads the block.
    """
    data = data.removeprefix(_PREFIX).removeprefix(_PREFIX)  # Pillow skips two
    numbers = values = 0
    for kind, count in _entries(data):
        size = count * _SIZES.get(kind, 1)
        numbers += 1 if kind in _WHOLE else max(1, count)
        values += size if size > _INLINE else 0
        if numbers > MOST_NUMBERS:
            raise ValueError(f"it claims more than {MOST_NUMBERS} numbers")
        if values > len(data):
            raise ValueError("it claims more bytes than it has")


def _entries(data: bytes) -> Iterator[tuple[int, int]]:
    """Type and count of each tag in all folders. Each folder is read once."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8:
        return
    waiting, seen = [struct.unpack_from(f"{order}I", data, 4)[0]], set()
    while waiting:
        place = waiting.pop()
        if place in seen or place + 2 > len(data):
            continue
        seen.add(place)
        (tags,) = struct.unpack_from(f"{order}H", data, place)
        for entry in range(place + 2, min(place + 2 + 12 * tags, len(data) - 11), 12):
            tag, kind, count, value = struct.unpack_from(f"{order}HHII", data, entry)
            yield kind, count
            if tag in _FOLDERS and kind in _PLACES:
                where = entry + 8 if _SIZES[kind] <= _INLINE else value
                if where + _SIZES[kind] <= len(data):
                    waiting.append(struct.unpack_from(order + _PLACES[kind], data, where)[0])
