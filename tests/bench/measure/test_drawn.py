"""Images that are not photographs: the set is whole, and bytes are compared at equal quality."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from bench.measure.drawn.classes import made_set
from bench.measure.drawn.command import all_measured, bytes_for, measured, ratio, summary
from bench.measure.drawn.floors import IMAGES, floor
from bench.measure.drawn.fonts import font
from bench.measure.drawn.icons import icon
from bench.measure.drawn.photographs import photographs
from bench.measure.drawn.text import SCRIPTS
from rdpcodec import Codec

CURVE = [{"bytes": 100.0, "psnr": 20.0}, {"bytes": 200.0, "psnr": 30.0}, {"bytes": 800.0, "psnr": 40.0}]


def test_the_set_has_six_classes_and_at_least_sixty_images() -> None:
    first, again = made_set(), made_set()
    assert len(first) == 6
    assert sum(len(images) for images in first.values()) >= 60
    for name, images in first.items():
        for title, image in images.items():
            assert image.mode == "RGB"
            np.testing.assert_array_equal(np.asarray(image), np.asarray(again[name][title]))


def test_fonts_have_the_letters_of_every_script() -> None:
    """Letters that a font lacks would all be drawn as the same box."""
    for face, sentence in SCRIPTS.values():
        letters = sorted({letter for letter in sentence if letter.isalpha()})
        shapes = {bytes(font(face, 24).getmask(letter)) for letter in letters}
        assert len(shapes) > 0.9 * len(letters)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(20, 100), (10, 100), (25, math.sqrt(100 * 200)), (35, 400), (40, 800), (41, math.inf)],
)
def test_bytes_between_points_lie_on_a_logarithmic_scale(value: float, wanted: float) -> None:
    assert bytes_for(CURVE, "psnr", value) == pytest.approx(wanted)


def test_the_rival_is_the_better_of_avif_and_lossless_webp() -> None:
    record = {
        "lossless_webp": 500,
        "avif": CURVE,
        "rdpcodec": [{"bytes": 300, "psnr": 35}, {"bytes": 450, "psnr": 90}],
    }
    assert ratio(record, 0, "psnr") == pytest.approx(300 / 400)
    assert ratio(record, 1, "psnr") == pytest.approx(450 / 500)
    assert ratio(record, 0, "ssimulacra2") is None
    mean, worst = summary({"a": record, "b": record}, "psnr", 0)
    assert (mean, worst) == (pytest.approx(0.75), pytest.approx(0.75))


def test_an_icon_is_measured(codec: Codec) -> None:
    record = measured(codec, icon(1, 64))
    assert record["size"] == [64, 64]
    sizes = [point["bytes"] for point in record["rdpcodec"]]
    assert 0 < min(sizes) <= max(sizes)
    assert (record["rdpcodec"][-1]["psnr"], record["rdpcodec"][-1]["ssimulacra2"]) == (100, 100)
    assert all("ssimulacra2" in point for point in record["avif"])


def test_processes_measure_what_one_does(codec: Codec) -> None:
    """Each result is filed under its own class and image, whichever process measured it.

    They are too small for SSIMULACRA2, for which each process would import torch.
    """
    images = {"small": {"a": icon(1, 48), "b": icon(2, 50)}, "large": {"a": icon(3, 60)}}
    alone = {
        name: {title: measured(codec, image) for title, image in members.items()}
        for name, members in images.items()
    }
    assert all_measured(images, workers=2) == alone


def test_a_photograph_has_no_exact_pixels_and_an_icon_has(codec: Codec, photograph: Image.Image) -> None:
    images = {"photograph": photograph.crop((100, 50, 356, 242)), "icon": icon(1, 64)}
    (found, high) = photographs(codec, {"both": images})["both"]
    assert found["images"] == 2
    assert found["with_exact_pixels"] == high["with_exact_pixels"] == ["icon"]
    assert 0 < found["looking_s"] < found["encoding_s"]


@pytest.mark.parametrize("name", IMAGES)
def test_no_image_falls_below_its_floor(codec: Codec, name: str) -> None:
    found = floor(codec, name)
    assert found.psnr >= found.least_psnr
    assert found.white > 0.99
    assert found.psnr < math.inf or found.bytes < 1.01 * found.lossless_webp + 40
