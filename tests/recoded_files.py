"""A file with other segments, and a checksum that fits."""

from __future__ import annotations

from rdpcodec.format import container
from rdpcodec.format.container import Container, Segment


def recoded(data: bytes, **changes: bytes) -> bytes:
    """A file with segments replaced and its checksum made right: what a hostile author could write."""
    file = container.read(data)
    segments = {**file.segments, **{Segment[name]: payload for name, payload in changes.items()}}
    return container.write(Container(file.header, segments))
