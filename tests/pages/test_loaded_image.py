"""What the server keeps of an image between requests."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from rdpcodec import Codec
from rdpcodec.image import ImageData
from rdpcodec.pages.loaded_image import LoadedImage
from rdpcodec.peers import Peer


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of other formats' files, in the order in which they are made."""
    lengths: list[int] = []
    encode = Peer.encode

    def counted(peer: Peer, image: Image.Image, quality: float) -> bytes:
        file = encode(peer, image, quality)
        lengths.append(len(file))
        return file

    monkeypatch.setattr(Peer, "encode", counted)
    return lengths


def test_files_of_other_formats_take_at_most_as_much_memory_as_the_pixels(
    plain_codec: Codec, small: Image.Image, made: list[int]
) -> None:
    pixels = np.asarray(small)
    loaded = LoadedImage(plain_codec, ImageData(pixels))
    for size in np.geomspace(600, pixels.nbytes, 12).astype(int):
        for name in ("jpeg", "webp"):
            loaded.peer_file(name, size)
            assert sum(map(len, loaded.peer_files.values())) <= pixels.nbytes
    assert sum(made) > 3 * pixels.nbytes


def test_a_file_that_was_asked_for_is_not_made_again_for_a_size_nearby(
    plain_codec: Codec, small: Image.Image, made: list[int]
) -> None:
    loaded = LoadedImage(plain_codec, ImageData(np.asarray(small)))
    file = loaded.peer_file("jpeg", 900)
    count = len(made)
    assert 1 < count <= 8
    assert loaded.peer_file("jpeg", len(file)) == file
    loaded.peer_file("webp", 900)
    assert loaded.peer_file("jpeg", 900) == file
    assert len(made) <= count + 8


def test_a_file_over_the_bound_is_given_out_and_not_kept(plain_codec: Codec, made: list[int]) -> None:
    loaded = LoadedImage(plain_codec, ImageData(np.zeros((1, 1, 3), np.uint8)))
    assert loaded.peer_file("jpeg", 100)[:2] == b"\xff\xd8"
    assert not loaded.peer_files
