"""What the server keeps of an image between requests."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rdpcodec import Codec
from rdpcodec.image import ImageData
from rdpcodec.pages.loaded_image import Files, LoadedImage, Settings
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
            assert loaded.peer_files.size <= pixels.nbytes
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


def test_our_files_of_noise_take_at_most_as_much_memory_as_the_pixels(plain_codec: Codec) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    loaded = LoadedImage(plain_codec, ImageData(pixels))
    lengths = [len(loaded.file(quality)) for quality in (92, 94, 96, 98, 100)]
    assert loaded.files.size <= pixels.nbytes < sum(lengths)
    assert loaded.files.size >= lengths[-1]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 40)), max_size=30), st.integers(0, 100))
def test_files_are_kept_in_the_order_of_their_use_while_there_is_room(
    asked: list[tuple[int, int]], room: int
) -> None:
    files, made = Files(room), list[int]()
    sizes = dict(asked)

    def make(key: int) -> bytes:
        made.append(key)
        return bytes(sizes[key])

    for count, (key, _) in enumerate(asked, 1):
        made.clear()
        assert files.get(key, lambda key=key: make(key)) == bytes(sizes[key])
        assert files.size <= room or files.size == sizes[key]
        # What was used since this file was last asked for, with the file itself, must have had room.
        before = [other for other, _ in asked[: count - 1]]
        since = set(before[len(before) - 1 - before[::-1].index(key) :]) if key in before else set()
        kept = bool(since) and (len(since) == 1 or sum(sizes[other] for other in since) <= room)
        assert made == ([] if kept else [key])


def test_a_file_over_the_bound_is_kept_alone(plain_codec: Codec, made: list[int]) -> None:
    loaded = LoadedImage(plain_codec, ImageData(np.zeros((1, 1, 3), np.uint8)))
    file = loaded.peer_file("jpeg", 100)
    assert file[:2] == b"\xff\xd8"
    assert loaded.peer_files.size in made
    assert loaded.file(50) is loaded.file(50)


def test_an_image_that_is_let_go_is_gone(plain_codec: Codec, small: Image.Image) -> None:
    loaded = LoadedImage(plain_codec, ImageData(np.asarray(small)))
    loaded.decoded(Settings(50, 0))
    gone = weakref.ref(loaded)
    del loaded
    assert gone() is None
