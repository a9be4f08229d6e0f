from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, features

from bench.__main__ import bench
from bench.codecs import BenchCodec
from bench.measure import setup as setups
from bench.measure import summary as summaries
from bench.measure import surface
from bench.measure.cache import Point, load_cached
from bench.measure.setup import Setup, metrics_of, read_labels
from bench.measure.summary import standard_errors, summary
from bench.measure.surface import measure
from bench.metrics.image_metrics import (
    ImageMetrics,
    MetricOptions,
    SetFeatures,
    feature_distances,
    pixel_distance,
)
from rdpcodec.errors import UsageError
from rdpcodec.peers import PEERS

POINTS = (Point(10), Point(60))


@pytest.fixture(scope="module")
def metrics(lpips: Path) -> ImageMetrics:
    return metrics_of(MetricOptions(lpips, "cpu"))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, photograph: Image.Image) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number, left in enumerate((0, 160, 330)):
        photograph.crop((left, 60, left + 256, 316)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Path:
    """The first two of `images`."""
    folder = tmp_path_factory.mktemp("two")
    for name in ("0.png", "1.png"):
        shutil.copy(images / name, folder)
    return folder


@pytest.fixture
def setup(images: Path, tmp_path: Path, lpips: Path) -> Setup:
    return Setup(images, tmp_path, MetricOptions(lpips, "cpu"))


def test_more_bytes_are_closer_in_every_sense(setup: Setup) -> None:
    originals = setup.jobs("original", "original", (Point(0),))
    jobs = setup.jobs("jpeg", "jpeg", POINTS)
    for job in (*originals, *jobs):
        measure(job)
    few, many = summary(jobs, originals)["points"].values()
    assert few["bytes"] < many["bytes"]
    for name in ("psnr", "ssim", "ms_ssim"):
        assert few[name] < many[name]
    for name in ("mse", "lpips_alex", "lpips_squeeze"):
        assert few[name] > many[name]
    for name in ("frechet", "kernel", "sliced_wasserstein"):
        assert few[name] > many[name]
        assert few["standard_errors"][name] > 0


def test_originals_are_at_no_distance_from_themselves(images: Path, metrics: ImageMetrics) -> None:
    features = [metrics.set_features(np.asarray(Image.open(path))) for path in sorted(images.iterdir())]
    assert feature_distances(features, features)["frechet"] == pytest.approx(0, abs=1e-3)
    assert pixel_distance(features, features) == 0
    assert [len(part.features) for part in features] == [1, 1, 1]


def test_only_what_the_cache_lacks_is_measured(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[tuple[Point, ...]] = []
    coded = surface.coded

    def recorded(codec: str, image: Image.Image, points: tuple[Point, ...], device: str) -> Any:
        measured.append(points)
        return coded(codec, image, points, device)

    monkeypatch.setattr(surface, "coded", recorded)
    measure(setup.jobs("jpeg", "first", POINTS[:1])[0])
    measure(setup.jobs("jpeg", "first", POINTS)[0])
    measure(setup.jobs("jpeg", "first", POINTS)[0])
    assert measured == [POINTS[:1], POINTS[1:]]
    kept = load_cached(setup.jobs("jpeg", "first", POINTS)[0])
    assert set(kept) == {"10", "60"}
    setup.jobs("jpeg", "first", POINTS)[0].cache.write_bytes(b"damaged")
    measure(setup.jobs("jpeg", "first", POINTS)[0])
    assert measured.pop() == POINTS
    # Other weights, or another image under the same name, are measured from scratch.
    measure(setup.jobs("jpeg", "second", POINTS)[0])
    assert measured[2:] == [POINTS]


def test_what_is_cached_belongs_to_an_image_and_its_measures(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(images / "0.png", tmp_path / "a.png")
    names = "vif,niqe"
    monkeypatch.setattr(setups, "metrics_of", lambda *_: SimpleNamespace(names=names))

    def identity(weights: str = "weights") -> str:
        run = Setup(tmp_path, tmp_path / "out", MetricOptions(None, "cpu"))
        (job,) = run.jobs("jpeg", weights, POINTS)
        return job.identity

    first = identity()
    assert identity() == first
    found = {first, identity("other weights")}
    names = "vif"
    found.add(identity())
    shutil.copy(images / "1.png", tmp_path / "a.png")
    found.add(identity())
    monkeypatch.setattr(features, "version", lambda library: f"another {library}")
    found.add(identity())
    # Labels that come later, or are corrected, have answers of their own.
    for label in (504, 1):
        (tmp_path / "classes.tsv").write_text(f"index\tprobe_file\n{label}\ta.png\n")
        found.add(identity())
    assert len(found) == 7


def test_each_point_is_decoded_at_its_realism_and_a_quality_encoded_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Measured by a clock on which encoding takes one second and decoding two."""
    now, encoded = 0.0, []
    monkeypatch.setattr(surface, "time", SimpleNamespace(perf_counter=lambda: now))

    def encode(image: Image.Image, quality: float) -> bytes:
        nonlocal now
        now += 1
        encoded.append((image.size, quality))
        return bytes(round(10 * quality))

    def decode(data: bytes, realism: float = 0.3) -> Image.Image:
        nonlocal now
        now += 2
        return Image.new("L", (1, 1), round(100 * realism))

    codec = BenchCodec("rdpcodec", "made up", (0,), encode, decode, decode)
    monkeypatch.setattr(surface, "bench_codec", lambda *_: codec)
    image = Image.new("RGB", (100, 80))
    asked = (Point(5, 0.0), Point(5, 0.5), Point(20, 1.0), Point(30))
    points, facts, shown = zip(*surface.coded("rdpcodec", image, asked, "cpu"), strict=True)
    assert points == asked
    assert [int(pixel.item()) for pixel in shown] == [0, 50, 100, 30]
    assert encoded == [((64, 64), 5), ((100, 80), 5), ((100, 80), 20), ((100, 80), 30)]
    assert [fact["bytes"] for fact in facts] == [50, 50, 200, 300]
    assert [fact["bpp"] for fact in facts] == pytest.approx([0.05, 0.05, 0.2, 0.3])
    assert {(fact["encode_seconds"], fact["decode_seconds"]) for fact in facts} == {(1, 2)}


def test_a_realism_of_zero_and_one_are_two_points_of_one_file() -> None:
    assert Point(20, 0.25).key == "20/0.25"
    assert Point(20).key == "20"


def parts(values: np.ndarray, held_out: np.ndarray) -> list[SetFeatures]:
    """What each image contributes to distributions, from arrays `[images, patches, width]`."""
    return [SetFeatures(own, other, ()) for own, other in zip(values, held_out, strict=True)]


@pytest.mark.parametrize("images", [5, 8])
def test_the_jackknifes_error_of_a_mean_is_its_standard_error(
    images: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(0).normal(size=(images, 1, 1))

    def mean(_: list[SetFeatures], decoded: list[SetFeatures]) -> dict[str, float]:
        return {"mean": float(np.mean([part.features for part in decoded]))}

    monkeypatch.setattr(summaries, "distances", mean)
    drawn = parts(values, values)
    errors = standard_errors(drawn, drawn)
    assert errors["mean"] == pytest.approx(values.std(ddof=1) / images**0.5)
    assert standard_errors(drawn[:2], drawn[:2]) == {}


def test_held_out_features_have_a_kernel_distance_of_their_own() -> None:
    same, other = np.random.default_rng(0).normal(size=(2, 4, 3, 8))
    found = feature_distances(parts(same, same), parts(same, same + 0.5 * other))
    assert found["kernel"] == pytest.approx(0, abs=1e-9)
    assert found["kernel_held_out"] > 0.01


def command(name: str, images: Path, out: Path, lpips: Path, options: str = "") -> list[str]:
    where = ["--data", str(images), "--out", str(out), "--lpips-weights", str(lpips)]
    return ["measure", name, *where, *options.split()]


def test_the_command_traces_a_folder_and_goes_on_where_it_was_stopped(
    two: Path, tmp_path: Path, lpips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)  # threads that wait for each other take longer than one
    words = command("surface", two, tmp_path, lpips, "--workers 1 --qualities 20,70 --realisms 0")
    result = CliRunner().invoke(bench, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "rdpcodec.json").read_text())
    assert list(record["points"]) == ["20/0", "70/0"]
    assert set(record["images"]) == {"0.png", "1.png"}
    mean = np.mean([points["20/0"]["bpp"] for points in record["images"].values()])
    assert record["points"]["20/0"]["bpp"] == pytest.approx(mean, rel=1e-4)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npz")}
    assert len(times) == 4
    assert CliRunner().invoke(bench, words, catch_exceptions=False).exit_code == 0
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npz")}
    unknown = CliRunner().invoke(bench, [*words, "--model", "slow"])
    assert "there is no model 'slow'" in unknown.output


def test_peers_are_measured_from_their_smallest_files_on(
    two: Path, tmp_path: Path, lpips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    words = command("peers", two, tmp_path, lpips, "--workers 2 --codecs jpeg --smallest 2")
    CliRunner().invoke(bench, words, catch_exceptions=False)
    points = json.loads((tmp_path / "jpeg.json").read_text())["points"]
    assert list(points) == [f"{setting}" for setting in PEERS["jpeg"].settings[:2]]


def test_images_with_labels_are_classified(setup: Setup) -> None:
    """A little loss does not change the answer; a coffee mug is no goldfish; no label, no answer."""
    rows = ["wnid\tindex\tlabel\tprobe_file", "n1\t504\tcoffee mug\t0.png", "n2\t1\tgoldfish\t1.png"]
    (setup.data / "classes.tsv").write_text("\n".join(rows) + "\n")
    try:
        jobs = setup.jobs("jpeg", "labelled", (Point(90),))
    finally:
        (setup.data / "classes.tsv").unlink()
    assert [job.label for job in jobs] == [504, 1, None]
    facts = []
    for job in jobs:
        measure(job)
        facts.append(load_cached(job)["90"][0])
    assert facts[0]["agreement"] == 1
    assert facts[1]["top5"] == 0
    assert facts[1]["agreement"] == 1  # the same answer as for the original
    assert "top1" not in facts[2]
    originals = setup.jobs("original", "original", (Point(0),))
    for job in originals:
        measure(job)
    assert "top1" not in summary(jobs, originals)["points"]["90"]
    assert "top1" in summary(jobs[:2], originals[:2])["points"]["90"]


def test_an_image_too_small_for_lpips_is_named(setup: Setup, tmp_path: Path) -> None:
    Image.new("RGB", (31, 200)).save(tmp_path / "icon.png")
    run = Setup(tmp_path, tmp_path, setup.metric_options)
    (job,) = run.jobs("jpeg", "small", POINTS)
    with pytest.raises(UsageError, match=r"icon\.png: too small for LPIPS, which needs 32 pixels"):
        measure(job)


def test_networks_that_are_missing_are_named(images: Path, tmp_path: Path) -> None:
    words = command("surface", images, tmp_path, tmp_path)
    result = CliRunner().invoke(bench, [*words, "--workers", "1"])
    assert result.exit_code != 0
    assert "LPIPS-alex" in result.output


@pytest.mark.parametrize(
    "table", ["index\tname\n3\ta.png\n", "index\tprobe_file\nthree\ta.png\n", "3\ta.png\n\xff"]
)
def test_a_table_of_classes_that_is_none_is_a_mistake_of_one_line(table: str, tmp_path: Path) -> None:
    (tmp_path / "classes.tsv").write_bytes(table.encode("latin-1"))
    with pytest.raises(UsageError, match=r"classes\.tsv: not a table with the columns"):
        read_labels(tmp_path)
