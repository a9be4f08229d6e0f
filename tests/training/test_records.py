"""What a run writes down: checkpoints, averages, and what trained it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from short_runs import CPU, loop_of, run_of

from rdpcodec.errors import UsageError
from rdpcodec.training.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from rdpcodec.training.checkpoints.totals import Totals, totals_of
from rdpcodec.training.descent.average import WeightAverage
from rdpcodec.training.export.export import export
from rdpcodec.training.export.model_card import data_block
from rdpcodec.weights.manifest import hours_by_device


def test_the_record_of_a_run_says_what_trained_it(
    image_folder: Path, tmp_path: Path, small_model: Path
) -> None:
    loop = loop_of(run_of(1), image_folder, tmp_path, small_model)
    loop.train(checkpoint_minutes=60)
    state = load_checkpoint(tmp_path / "checkpoint.pt", CPU)
    once = totals_of(state | {"seconds": 5400.0})
    twice = totals_of(state | {"seconds": 720.0, "device": "NVIDIA H200", "totals": once.record()})
    thrice = totals_of(state | {"seconds": 5400.0, "totals": twice.record()})
    assert hours_by_device(thrice.record()) == "3 hours on CPU and 0.2 hours on NVIDIA H200"
    assert thrice.runs == 3
    assert thrice.gigapixels == pytest.approx(3 * once.gigapixels, abs=2e-3)


def test_checkpoints_of_version_0_1_count_as_the_runs_they_list() -> None:
    runs = [{"hours": 1.0, "gigapixels": 2.0}, {"hours": 0.5, "gigapixels": 3.0, "device": "NVIDIA H200"}]
    state = {"history": runs, "device": "cpu", "seconds": 1800.0, "pixels": 1e9}
    totals = totals_of(state)
    assert (totals.hours, totals.gigapixels, totals.runs) == ({"CPU": 1.5, "NVIDIA H200": 0.5}, 6.0, 3)
    assert totals_of(state, "realism_totals").runs == 0


def test_a_resumed_run_keeps_the_training_behind_it(
    image_folder: Path, tmp_path: Path, small_model: Path, lpips: Path
) -> None:
    """That of both syntheses."""
    run, first, second = run_of(1, perception=0.5), tmp_path / "first", tmp_path / "second"

    def totals() -> list[Totals]:
        state = load_checkpoint(second / "checkpoint.pt", CPU)
        return [totals_of(state, kind) for kind in ("totals", "realism_totals")]

    loop_of(run, image_folder, first, small_model, lpips).train(checkpoint_minutes=60)
    loop_of(run, image_folder, second, first / "checkpoint.pt", lpips).train(checkpoint_minutes=60)
    before = totals()
    assert [kind.runs for kind in before] == [2, 2]
    resumed = loop_of(run, image_folder, second, small_model, lpips)  # whatever start is given
    resumed.resume()
    resumed.save()
    assert totals() == before


def test_a_model_card_sums_images_up_by_source_and_licence(tmp_path: Path) -> None:
    assert "were not recorded" in data_block(tmp_path)
    rows = [("a", 1000, 600, "x@1", "CC0"), ("b", 2000, 4000, "y", "CC BY"), ("c", 500, 800, "x@2", "CC0")]
    lines = [("path", "width", "height", "source", "licence"), *rows]
    text = "\n".join("\t".join(map(str, line)) for line in lines)
    (tmp_path / "MANIFEST.tsv").write_text(text, encoding="utf-8")
    said, *table = data_block(tmp_path).splitlines()
    assert said.startswith("3 photographs, 9 megapixels.")
    assert table[-2:] == ["| y | 1 | 8.0 | CC BY |", "| x | 2 | 1.0 | CC0 |"]


@pytest.mark.parametrize(
    "text", ["path\twidth\na\t5\n", "path width height source licence\na 5 5 x y\n", "\xff"]
)
def test_a_list_of_images_that_says_too_little_is_refused_before_anything_is_written(
    text: str, image_folder: Path, small_model: Path, tmp_path: Path
) -> None:
    run, data, weights = (tmp_path / name for name in ("run", "data", "weights"))
    data.mkdir()
    run.mkdir()
    (data / "MANIFEST.tsv").write_text(text, encoding="latin-1")
    loop_of(run_of(1), image_folder, run, small_model).save()
    with pytest.raises(UsageError, match=r"MANIFEST\.tsv: does not say width, height, source and licence"):
        export(run / "checkpoint.pt", data, "fast", weights)
    assert not list(weights.iterdir())


def test_checkpoints_replace_each_other_whole(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    for value in (1, 2):
        save_checkpoint(path, {"value": torch.tensor(value)})
    assert int(load_checkpoint(path, CPU)["value"]) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_the_average_is_exponential_with_a_shorter_window_at_first() -> None:
    module = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(module.weight)
    average = WeightAverage(module)
    torch.nn.init.ones_(module.weight)
    average.update_parameters(module)
    assert float(average.values["weight"]) == pytest.approx(9 / 11)
    resumed = WeightAverage(module)
    resumed.load(average.values, average.steps)
    for either in (average, resumed):
        either.update_parameters(module)
        assert float(either.values["weight"]) == pytest.approx(1 - 2 / 11 * 3 / 12)
    average.load({"weight": torch.zeros(1, 1)}, steps=100_000)
    average.update_parameters(module)
    assert float(average.values["weight"]) == pytest.approx(0.001)
