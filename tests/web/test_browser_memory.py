"""The memory that decoding takes in a browser."""

from __future__ import annotations

import base64
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from rdpcodec import Codec
from rdpcodec.format import container
from rdpcodec.format.container import Container, Header, Segment, join_tiles


def tiled(codec: Codec, photograph: Image.Image, across: int, down: int) -> bytes:
    """A file of identical tiles of 1024² pixels."""
    tile = container.read(codec.compress(photograph.resize((1024, 1024)), 20)).coded_image
    header = Header(codec.weights.size, codec.weights.fingerprint, 20, 0, 1024 * across, 1024 * down)
    return container.write(Container(header, {Segment.COLOUR: join_tiles([tile] * across * down)}))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_memory_for_25_megapixels_is_the_image_and_a_few_tiles(
    browser: Any, tab: Any, codec: Codec, photograph: Image.Image
) -> None:
    """Beyond one tile's memory, less than the image's floats alone would take: 12 bytes a pixel."""
    decode_corner(tab, tiled(codec, photograph, 1, 1))
    before = most_memory(browser)
    corner = decode_corner(tab, tiled(codec, photograph, 2, 12))
    assert most_memory(browser) - before < 12 * 2048 * 12288
    assert len(set(corner)) > 1


def decode_corner(tab: Any, data: bytes) -> list[int]:
    """Decode a whole file, but return only a few of its pixels."""
    script = """async (file) => {
      const { decode } = await import("/rdpcodec.js");
      const { data } = await decode(Uint8Array.from(atob(file), (c) => c.charCodeAt(0)));
      return Array.from(data.subarray(-400));
    }"""
    return tab.evaluate(script, base64.b64encode(data).decode())


def most_memory(browser: Any) -> int:
    """The most bytes that the browser's pages have ever had in memory."""
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    status = [Path(f"/proc/{p['id']}/status").read_text() for p in processes if p["type"] == "renderer"]
    return sum(int(re.search(r"VmHWM:\s+(\d+)", text)[1]) * 1024 for text in status)  # type: ignore[index]
