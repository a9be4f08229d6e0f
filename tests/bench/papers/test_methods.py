"""The plane over methods: dominance and claims where answers are known, and the command on small images."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from bench.__main__ import bench
from bench.papers.methods import enlarge, measure
from bench.papers.methods.claims import WITH_REFERENCE, Plane, clearly_less, planes, reproduction
from bench.papers.reproduction import claims_table
from rdpcodec.errors import UsageError
from rdpcodec.peers import Unavailable

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "bench" / "results" / "methods"


def plane(closeness: list[float], naturalness: list[float]) -> Plane:
    """Methods a, b, … whose five images differ by a hundredth."""
    spread = 0.01 * np.arange(5)
    names = tuple("abcdef"[: len(closeness)])
    return Plane(
        "a group",
        "rmse",
        names,
        np.array(closeness)[:, None] + spread,
        np.array(naturalness)[:, None] + spread,
    )


def images(natural: dict[str, float], closeness: dict[str, float]) -> dict[str, dict[str, Any]]:
    """Three images of one group; an index falls where distance rises."""
    made = {}
    for number in range(3):
        methods = {
            f"group/{name}": {
                **{
                    key: sign * (closeness[name] + 0.01 * number) for key, (_, sign) in WITH_REFERENCE.items()
                },
                "niqe": natural[name] + 0.01 * number,
            }
            for name in natural
        }
        made[f"{number}.png"] = {"original niqe": 3.0, "methods": methods}
    return made


def test_dominance_is_being_better_in_both() -> None:
    drawn = plane([1, 2, 3, 2.5], [3, 2, 1, 3])
    assert drawn.dominance() == [("b", "d")]
    assert drawn.admissible() == ["a", "b", "c"]
    assert drawn.best_in_both() is None
    assert set(drawn.contradictions()) == {("a", "b"), ("a", "c"), ("b", "c"), ("d", "c")}


def test_a_method_that_is_best_in_both_fills_the_lower_left() -> None:
    drawn = plane([1, 2, 3], [1, 2, 3])
    assert drawn.best_in_both() == "a"
    assert drawn.admissible() == ["a"]
    assert drawn.contradictions() == []


def test_differences_within_two_standard_errors_are_none() -> None:
    near, noisy = np.array([1.0, 1.0, 1.0]), np.array([0.9, 1.3, 0.9])
    assert not clearly_less(near, noisy)
    assert not clearly_less(noisy, near)
    assert clearly_less(near, near + np.array([0.1, 0.11, 0.1]))
    assert not clearly_less(near, near)


def test_claims_hold_where_methods_trade_and_fail_where_one_has_it_all() -> None:
    natural, close = {"a": 1.0, "b": 2.0, "c": 3.0}, {"a": 3.0, "b": 2.0, "c": 1.0}
    assert all(claim.holds for claim in reproduction(images(natural, close)).claims)
    claims = reproduction(images(natural, natural)).claims
    assert not any(claim.holds for claim in claims)
    assert "a in RMSE (group)" in claims[0].ours


def test_planes_are_of_methods_that_were_given_the_same() -> None:
    made = images({"a": 1.0, "b": 2.0}, {"a": 2.0, "b": 1.0})
    for image in made.values():
        image["methods"]["other/c"] = image["methods"]["group/a"]
    drawn = planes(made)
    assert len(drawn) == 2 * len(WITH_REFERENCE)
    assert {(p.group, p.methods) for p in drawn} == {("group", ("a", "b")), ("other", ("c",))}


# Super-resolution.


def photograph(width: int = 64, height: int = 48) -> Image.Image:
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    waves = np.stack([128 + 100 * np.sin(x / 5 + k) * np.cos(y / 4) for k in range(3)], 2)
    return Image.fromarray(waves.astype(np.uint8))


def error(image: np.ndarray, other: np.ndarray) -> float:
    """Mean squared error of uint8 images."""
    return float(np.square(image.astype(float) - other).mean())


def test_images_are_reduced_and_enlarged_to_their_size() -> None:
    original = photograph()
    small, pixels = enlarge.reduced(original), np.asarray(original)
    assert small.size == (16, 12)
    for method in enlarge.enlargers()[0]:
        grown = method.enlarge(small)
        assert grown.shape == (48, 64, 3), method.name
        assert grown.dtype == np.uint8
        # Nothing is turned or shifted, whatever is painted: it is nearest to the original as it is.
        turned = [np.flip(pixels, axes) for axes in (0, 1, 2)]
        shifted = [np.roll(pixels, by, axis) for by in (-6, 6) for axis in (0, 1)]
        assert all(error(grown, pixels) < error(grown, other) for other in turned + shifted), method.name
    with pytest.raises(UsageError, match="multiples of 4"):
        enlarge.reduced(photograph(66))


def test_missing_networks_are_named_with_their_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enlarge, "find_spec", lambda name: None)
    found, notes = enlarge.enlargers()
    assert [method.name for method in found] == ["bicubic"]
    assert len(notes) == 2
    assert all("pip install 'rdpcodec[super-resolution]'" in note for note in notes)


# The command.


def test_the_command_measures_writes_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    for number in range(3):
        photograph(192 + 4 * number, 192).save(tmp_path / "data" / f"{number}.png")
    page = tmp_path / "page.md"
    page.write_text("# Page\n")
    monkeypatch.setattr(measure, "QUALITIES", (40.0,))
    monkeypatch.setattr(measure, "BESIDE", ("webp", "jxl"))
    measure.available_peers.cache_clear()
    peer = measure.bench_codec

    def without_jxl(name: str) -> Any:
        if name == "jxl":
            raise Unavailable("jxl: not installed")
        return peer(name)

    monkeypatch.setattr(measure, "bench_codec", without_jxl)
    monkeypatch.setattr(enlarge, "find_spec", lambda name: None)
    lpips = SimpleNamespace(
        eval=lambda: SimpleNamespace(features=lambda x: x, between=lambda a, b: (a - b).abs().mean())
    )
    monkeypatch.setattr(measure, "load_lpips", lambda name, folder: lpips)
    arguments = ["papers", "methods", "--data", str(tmp_path / "data"), "--count", "2", "--page", str(page)]
    arguments += ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    for attempt in range(2):  # the second time nothing is measured
        found = CliRunner().invoke(bench, arguments)
        assert found.exit_code == 0, (attempt, found.output)
        monkeypatch.setattr(measure, "niqe", lambda image: pytest.fail("again"))
    measure.available_peers.cache_clear()
    assert "left out: jxl: not installed" in found.output
    assert "SRMD ×4 left out" in found.output
    record = json.loads((tmp_path / "out" / "plane.json").read_text())
    assert list(record["images"]) == ["0.png", "2.png"]
    assert claims_table(record) in page.read_text()
    drawn = {plane["group"]: plane["methods"] for plane in record["planes"]}
    assert drawn["quality 40"] == ["rdpcodec 0", "rdpcodec 0.5", "rdpcodec 1", "webp"]
    coded = [record["images"]["0.png"]["methods"][f"quality 40/{name}"] for name in drawn["quality 40"]]
    assert len({method["bpp"] for method in coded[:3]}) == 1  # one file, three realisms
    assert len({method["rmse"] for method in coded}) == 4
    assert min(Image.open(tmp_path / "out" / "plane.png").size) > 100


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_the_page_shows_the_committed_results(path: Path) -> None:
    """Dominance and both observations follow from the stored figures of each image."""
    record = json.loads(path.read_text())
    assert claims_table(record) in (ROOT / "docs" / "papers.md").read_text()
    again = reproduction(record["images"]).record()
    assert again["claims"] == record["claims"]
    assert again["planes"] == record["planes"]
