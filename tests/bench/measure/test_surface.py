from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from bench.__main__ import bench
from bench.measure import surface
from bench.measure.cache import Point, load_cached
from bench.measure.metrics import Metrics, feature_distances, pixel_distance
from bench.measure.setup import Setup, metrics_of
from bench.measure.summary import standard_errors, summary
from bench.measure.surface import measure
from rdpcodec.peers import PEERS

POINTS = (Point(10), Point(60))


@pytest.fixture(scope="module")
def metrics(lpips: Path) -> Metrics:
    return metrics_of(lpips, "cpu")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, photograph: Image.Image) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number, left in enumerate((0, 160, 330)):
        photograph.crop((left, 60, left + 256, 316)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Path:
    """The first two of them."""
    folder = tmp_path_factory.mktemp("two")
    for name in ("0.png", "1.png"):
        shutil.copy(images / name, folder)
    return folder


@pytest.fixture
def setup(images: Path, tmp_path: Path, lpips: Path) -> Setup:
    return Setup(images, tmp_path, lpips, "cpu")


def test_more_bytes_are_closer_in_every_sense(setup: Setup) -> None:
    originals = setup.jobs("original", "original", (Point(0),))
    jobs = setup.jobs("jpeg", "jpeg", POINTS)
    for job in (*originals, *jobs):
        measure(job)
    few, many = summary(jobs, originals)["points"].values()
    assert few["bytes"] < many["bytes"]
    for name in ("psnr", "ssim", "ms_ssim"):
        assert few[name] < many[name]
    for name in ("mse", "lpips_alex", "lpips_squeeze", "frechet", "kernel", "sliced_wasserstein"):
        assert few[name] > many[name]
        assert few["standard_errors"][name] > 0


def test_originals_are_at_no_distance_from_themselves(images: Path, metrics: Metrics) -> None:
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
    # Other weights, or another image under the same name, make everything new.
    measure(setup.jobs("jpeg", "second", POINTS)[0])
    assert measured[2:] == [POINTS]


def test_a_realism_of_zero_and_one_are_two_points_of_one_file() -> None:
    assert Point(20, 0.25).key == "20/0.25"
    assert Point(20).key == "20"


def test_errors_shrink_with_more_images(metrics: Metrics) -> None:
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 256, (2, 256, 256, 3), dtype=np.uint8)
    features = [metrics.set_features(image) for image in noise]  # too few for errors of distances
    facts = [{"psnr": value} for value in generator.normal(30, 2, 24)]
    few = standard_errors(facts[:6], features, features)["psnr"]
    many = standard_errors(facts, features, features)["psnr"]
    assert many == pytest.approx(2 / 24**0.5, rel=0.4)
    assert many < few


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
    assert set(record["pictures"]) == {"0.png", "1.png"}
    mean = np.mean([points["20/0"]["bpp"] for points in record["pictures"].values()])
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
    assert "top1" not in facts[2]


def test_networks_that_are_missing_are_named(images: Path, tmp_path: Path) -> None:
    words = command("surface", images, tmp_path, tmp_path)
    result = CliRunner().invoke(bench, [*words, "--workers", "1"])
    assert result.exit_code != 0
    assert "LPIPS-alex" in result.output
