from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image, ImageFilter

from bench.__main__ import bench


@pytest.fixture
def folders(tmp_path: Path, photograph: Image.Image) -> tuple[Path, Path]:
    """The left and right parts of a photograph, and the same parts blurred."""
    for name, image in (
        ("originals", photograph),
        ("decoded", photograph.filter(ImageFilter.GaussianBlur(3))),
    ):
        (tmp_path / name).mkdir()
        image.crop((0, 0, 300, 400)).save(tmp_path / name / "left.png")
        image.crop((200, 0, 600, 400)).save(tmp_path / name / "right.png")
    return tmp_path / "originals", tmp_path / "decoded"


def test_a_blurred_image_is_further_from_the_original_than_itself(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    originals, blurred = folders
    found = {}
    for decoded in (originals, blurred):
        words = ["measure", "distance", "--data", str(originals), "--decoded", str(decoded)]
        result = CliRunner().invoke(bench, [*words, "--out", str(tmp_path / "out.json")])
        assert result.exit_code == 0, result.output
        found[decoded.name] = json.loads((tmp_path / "out.json").read_text())
        assert f"{found[decoded.name]['frechet']:.4g}" in result.output
    assert found["originals"]["patches"] == [
        3,
        3,
    ]  # one of 256×256 in each image, and one more from (128, 128) on in the wider image
    assert abs(found["originals"]["frechet"]) < 1e-3
    assert found["originals"]["kernel"] == pytest.approx(0, abs=1e-12)
    assert found["decoded"]["frechet"] > 1
    assert found["decoded"]["kernel"] > 0.01


def test_images_without_a_patch_and_missing_packages_are_errors(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    originals, blurred = folders
    words = ["measure", "distance", "--data", str(originals), "--decoded", str(blurred)]
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    result = CliRunner().invoke(bench, [*words, "--network", "inception"])
    assert result.exit_code == 1
    assert "pip install 'rdpcodec[inception]'" in result.output
    for path in blurred.iterdir():
        Image.open(path).resize((200, 150)).save(path)
    result = CliRunner().invoke(bench, words)
    assert result.exit_code == 1
    assert "at least two features" in result.output


def test_decoded_images_have_the_originals_names(folders: tuple[Path, Path]) -> None:
    originals, blurred = folders
    (blurred / "left.png").rename(blurred / "left-decoded.png")
    words = ["measure", "distance", "--data", str(originals), "--decoded", str(blurred)]
    result = CliRunner().invoke(bench, words)
    assert (result.exit_code, "must have the originals' names" in result.output) == (1, True)


def test_extensions_aside_an_image_and_its_copy_are_no_pair(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    originals, _ = folders
    copies, out = tmp_path / "copies", tmp_path / "out.json"
    copies.mkdir()
    for path in originals.iterdir():
        Image.open(path).save(copies / f"{path.stem}.bmp")
    words = ["measure", "distance", "--data", str(originals), "--decoded", str(copies), "--out", str(out)]
    result = CliRunner().invoke(bench, words)
    assert result.exit_code == 0, result.output
    assert json.loads(out.read_text())["kernel"] == pytest.approx(0, abs=1e-12)
