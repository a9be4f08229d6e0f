"""Targets of real images: files that meet them, and those that cannot."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from installed import brighter, install, load_tensors
from lpips_tensors import save_networks
from PIL import Image

import rdpcodec
from rdpcodec import Bounds, Codec, OperatingPoint, Target
from rdpcodec.encoder.auto_realism import MOST
from rdpcodec.encoder.image_encoder import ImageEncoder
from rdpcodec.encoder.target_search import TOLERANCE
from rdpcodec.errors import TargetWarning, UsageError
from rdpcodec.format import container
from rdpcodec.format.container import read_header
from rdpcodec.image import load_image
from rdpcodec.metrics.distortion import ms_ssim, psnr
from rdpcodec.metrics.full_reference import full_reference
from rdpcodec.metrics.lpips import WEIGHTS_VARIABLE, load_lpips
from rdpcodec.metrics.ssimulacra2 import ssimulacra2
from rdpcodec.operating_point import point_from_options
from rdpcodec.weights.manifest import find_model
from rdpcodec.weights.release import ReleasedModel


@pytest.mark.parametrize("mode", ["RGB", "LA"])
@pytest.mark.parametrize("target", [Target.bpp(0.7), Target.size(12_345)])
def test_a_file_is_never_over_its_target_size(
    codec: Codec, photograph: Image.Image, target: Target, mode: str
) -> None:
    image = photograph.resize((300, 200)).convert(mode)
    if mode == "LA":
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    data = codec.compress(image, target)
    limit = target.value if target.kind == "size" else target.value * 300 * 200 / 8
    assert 0.985 * limit <= len(data) <= limit


def test_a_file_with_a_target_is_the_file_of_its_quality(codec: Codec, small: Image.Image) -> None:
    data = codec.compress(small, Target.bpp(1.2))
    assert data == codec.compress(small, container.read(data).header.quality)
    assert data == rdpcodec.compress(small, Target.bpp(1.2))


def test_an_encoder_used_again_and_again_makes_the_files_of_compress(
    codec: Codec, small: Image.Image
) -> None:
    image = small.copy()
    image.putalpha(Image.linear_gradient("L").resize(small.size))
    encode = codec.encoder(load_image(image))
    for quality in (90, 10, 90):
        assert encode(OperatingPoint(quality)) == codec.compress(image, quality)


@pytest.mark.parametrize(
    ("target", "metric"),
    [(Target.psnr(33), psnr), (Target.ms_ssim(0.975), ms_ssim), (Target.ssimulacra2(60), ssimulacra2)],
    ids=["psnr", "ms_ssim", "ssimulacra2"],
)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_decoded_image_is_as_good_as_its_target(
    codec: Codec,
    photograph: Image.Image,
    target: Target,
    metric: Callable[[np.ndarray, np.ndarray], float],
    mode: str,
) -> None:
    image = photograph.resize((300, 200)).convert(mode)
    decoded = codec.decompress(codec.compress(image, target))
    value = metric(np.asarray(image.convert("RGB")), np.asarray(decoded.convert("RGB")))
    assert value >= target.value
    assert target.excess(value) >= -TOLERANCE


def test_gray_in_three_channels_is_measured_as_it_comes_back(codec: Codec, photograph: Image.Image) -> None:
    """That is, without the colours that only the networks' output has."""
    image, target = photograph.resize((150, 100)).convert("L").convert("RGB"), Target.psnr(33)
    value = psnr(np.asarray(image), np.asarray(codec.decompress(codec.compress(image, target))))
    assert -TOLERANCE <= target.excess(value) <= 0


@pytest.mark.parametrize("bytes_over", [1, 3])
def test_a_file_that_is_a_byte_too_large_is_too_large(
    codec: Codec, small: Image.Image, bytes_over: int
) -> None:
    """This holds for the first quality that is tried, as for any other."""
    limit = len(codec.compress(small, 50)) - bytes_over
    assert len(codec.compress(small, Target.size(limit))) <= limit


def test_with_realism_a_target_holds_for_the_realistic_image(photograph: Image.Image, tmp_path: Path) -> None:
    tensors = brighter(load_tensors(find_model("fast")), 0.02)  # by five of 255 levels
    codec = Codec(ReleasedModel.load(install(tmp_path, tensors)))
    image, target = photograph.resize((150, 100)), Target.psnr(28)

    def value(decoded: Image.Image) -> float:
        return psnr(np.asarray(image), np.asarray(decoded))

    data = codec.compress(image, target, realism=1)
    # PSNR of so small an image does not rise with every hundredth of quality.
    assert -5 * TOLERANCE <= target.excess(value(codec.decompress(data))) <= 0
    assert value(codec.decompress(data, realism=0)) > 28.5


def test_realism_gives_way_where_the_target_cannot_be_had_with_it(
    photograph: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = Codec(ReleasedModel.load(install(tmp_path, brighter(load_tensors(find_model("fast")), 0.2))))
    monkeypatch.setattr("rdpcodec.encoder.auto_realism.realism_of", lambda pixels, mosaic: 0.7)
    image = photograph.resize((90, 60))
    at_90 = psnr(np.asarray(image), np.asarray(codec.decompress(codec.compress(image, 90))))
    target = Target.psnr(round(at_90, 2))
    with pytest.warns(TargetWarning, match=r"at the realism that .*: the file has realism 0"):
        data = codec.compress(image, target, realism="auto")
    assert data == codec.compress(image, target)


def test_automatic_realism_finds_what_the_most_of_it_can_reach(
    codec: Codec, photograph: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bits can be so many that the image asks for less realism than a target of perception does."""
    monkeypatch.setattr("rdpcodec.encoder.auto_realism.realism_of", lambda pixels, mosaic: 0.0)
    image = photograph.crop((0, 0, 150, 100))
    # Stands in for decoded images whose LPIPS follows the realism alone.
    monkeypatch.setattr(ImageEncoder, "_decode", lambda self, layered, realism: np.array(realism))
    monkeypatch.setattr(f"{ImageEncoder.__module__}.full_reference", lambda kind: lambda _, at: 1 - float(at))
    monkeypatch.setattr(f"{ImageEncoder.__module__}.check_installed", lambda point: None)
    encode, target = codec.encoder(load_image(image)), Target.lpips(0.5)
    with pytest.warns(TargetWarning) as caught:
        data = encode(OperatingPoint(target, "auto"))
    assert read_header(data)[0].realism == pytest.approx(MOST, abs=1 / 255)
    assert str(caught[-1].message).endswith(f"the file has realism {MOST}")


def test_one_search_warns_once_of_what_it_wrote(
    codec: Codec, small: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each quality is measured at the realism that it asks for."""
    monkeypatch.setattr("rdpcodec.encoder.auto_realism.realism_of", lambda pixels, mosaic: 0.7)
    with pytest.warns(TargetWarning) as caught:
        data = codec.compress(small, Target.psnr(10), realism="auto")
    assert [str(warning.message).partition(":")[0] for warning in caught] == [
        "every quality meets the target 10 dB PSNR"
    ]
    assert read_header(data)[0].quality == 0


def test_the_realism_of_a_target_out_of_reach_is_named(codec: Codec, small: Image.Image) -> None:
    with pytest.raises(UsageError, match=r"to [\d.]+ dB PSNR at realism 1$"):
        codec.compress(small, Target.psnr(99), realism=1)


@pytest.mark.parametrize(
    "parts",
    [
        (Target.size(2000), Target.psnr(22)),
        (Target.psnr(20), Target.psnr(22)),
        (30, 0.1),
        (Target.psnr(20), None),
    ],
)
def test_bounds_are_one_on_distortion_and_one_on_perception(parts: tuple[Any, Any]) -> None:
    with pytest.raises(UsageError, match=r"is no target of|not a target"):
        Bounds(*parts)


def test_two_bounds_replace_the_realism_of_a_preset() -> None:
    both = Target.psnr(26) & Target.lpips(0.15)
    assert point_from_options(preset="photo-real", target=both) == OperatingPoint(both)


def test_an_lpips_target_is_measured_with_the_networks_that_are_there(
    codec: Codec, photograph: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_reference.cache_clear()
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(save_networks(tmp_path)))
    image = photograph.resize((150, 100))

    def value(data: bytes) -> float:
        return load_lpips("alex").distance(np.asarray(image), np.asarray(codec.decompress(data)))

    target = Target.lpips(value(codec.compress(image, 61.8)))
    assert -TOLERANCE <= target.excess(value(codec.compress(image, target))) <= 0
    full_reference.cache_clear()


def test_a_missing_metric_is_an_error_that_says_what_to_install(
    codec: Codec, small: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_reference.cache_clear()
    monkeypatch.delenv(WEIGHTS_VARIABLE, raising=False)
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(UsageError, match="install"):
        codec.compress(small, Target.lpips(0.1))
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UsageError, match=r"LPIPS needs torch: pip install 'rdpcodec\[lpips\]'"):
        codec.compress(small, Target.lpips(0.1))


def test_an_image_too_small_for_the_metric_is_refused(codec: Codec, small: Image.Image) -> None:
    with pytest.raises(
        UsageError, match=r"0\.9 MS-SSIM: not defined for an image as small .* 161×161 pixels"
    ):
        codec.compress(small, Target.ms_ssim(0.9))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"quality": Target.bpp(0.5), "realism": 1}, "no realism setting"),
        ({"quality": Target.size(10)}, r"target 10 bytes: .* \d+ to \d+ bytes"),
    ],
)
def test_targets_that_cannot_be_had_are_refused(
    plain_codec: Codec, small: Image.Image, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        plain_codec.compress(small, **arguments)  # type: ignore[arg-type]


def test_a_target_is_met_by_an_image_of_several_tiles(
    codec: Codec, photograph: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rdpcodec.format.tiles.TILE", 128)
    image = photograph.resize((300, 200))
    data = codec.compress(image, Target.size(9000))
    assert 8900 <= len(data) <= 9000
    assert data == codec.compress(image, container.read(data).header.quality)


def test_a_target_is_met_with_effort_too(codec: Codec, small: Image.Image) -> None:
    data = codec.compress(small, Target.size(900), effort=1)
    assert 890 <= len(data) <= 900
    assert data == codec.compress(small, container.read(data).header.quality, effort=1)


def test_the_old_way_to_give_a_target_still_works_and_warns(codec: Codec, small: Image.Image) -> None:
    with pytest.warns(DeprecationWarning, match="give the target as quality"):
        data = codec.compress(small, target=Target.bpp(1.2))
    assert data == codec.compress(small, Target.bpp(1.2))
    for arguments, message in (
        ({"quality": 50, "target": Target.bpp(1)}, "give one"),
        ({"target": 0.5}, "Target.bpp"),
    ):
        with (
            pytest.warns(DeprecationWarning, match="give the target"),
            pytest.raises(UsageError, match=message),
        ):
            codec.compress(small, **arguments)  # type: ignore[arg-type]
