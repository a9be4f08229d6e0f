"""From a run to weights that code."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from short_runs import CPU, loop_of, run_of
from small_model import SMALL

from rdpcodec import Codec
from rdpcodec.metrics.distortion import psnr
from rdpcodec.model.rdp_model import RdpModel
from rdpcodec.model.released import arrays, release_tensors
from rdpcodec.model.transforms import Synthesis
from rdpcodec.training.checkpoints.start import load_start
from rdpcodec.training.checkpoints.totals import Totals
from rdpcodec.training.export.export import (
    Parts,
    Release,
    export,
    fidelity_tensors,
    held_out_crops,
    realism_tensors,
    release_record,
)
from rdpcodec.training.images.image_set import load_images
from rdpcodec.weights.architecture import architecture_from
from rdpcodec.weights.release import DistortionShares, ReleasedModel


def test_an_exported_run_is_a_working_codec(
    image_folder: Path, tmp_path: Path, small_model: Path, photograph: Image.Image
) -> None:
    loop_of(run_of(2), image_folder, tmp_path, small_model).train(checkpoint_minutes=60)
    record = export(tmp_path / "checkpoint.pt", image_folder, "fast", tmp_path / "weights", replace=True)
    assert record["training"]["runs"] == 1
    assert record["size"] == "own"
    assert record["distortion"] == {"eyes": run_of(2).eyes, "coarse": run_of(2).coarse}
    path = tmp_path / "weights" / "fast.safetensors"
    tensors = load_file(path)
    architecture = architecture_from(record["architecture"])
    codec = Codec(ReleasedModel.from_tensors("fast", architecture, arrays(tensors)))
    image = photograph.crop((100, 100, 200, 180))
    decoded = codec.decompress(codec.compress(image, 80))
    # Even almost untrained, the Haar transform makes a codec.
    assert psnr(np.asarray(image), np.asarray(decoded)) > 20

    # More training of the synthesis alone keeps files readable; more training of everything does not.
    (tmp_path / "more").mkdir()
    for trains in ("synthesis", "decoder", "everything"):
        run = run_of(2, trains=trains)
        loop_of(run, image_folder, tmp_path / "more", init=path).train(checkpoint_minutes=60)
        checkpoint, folder = tmp_path / "more" / "checkpoint.pt", tmp_path / "weights"
        again = export(checkpoint, image_folder, "fast", folder, replace=True)
        assert (again["bitstream_fingerprint"] == record["bitstream_fingerprint"]) == (trains == "synthesis")
        assert again["synthesis_fingerprint"] != record["synthesis_fingerprint"]
        assert again["training"]["runs"] == record["training"]["runs"] + 1
        record = again
    card = (tmp_path / "weights" / "MODEL_CARD.md").read_text()
    assert card.count("<!-- training fast -->") == card.count("<!-- data -->") == 1
    assert f"| {record['training']['runs']} |" in card


def quiet(synthesis: Synthesis) -> None:
    """Make a synthesis's weights too small for float16, and its first gain larger by as much."""
    with torch.no_grad():
        synthesis.gain.log_gain.add_(20)
        for layer in (synthesis.enter, synthesis.bypass):
            layer.weight.mul_(math.exp(-20))


def test_weights_are_float16_unless_it_costs_quality(image_folder: Path, small_model: Path) -> None:
    images, held_out = load_images(image_folder, 64, CPU)
    crops, model = held_out_crops(held_out), load_start(small_model).model
    half = fidelity_tensors(model, images, crops, None)
    assert half["synthesis.bypass.weight"].dtype == half["mean_network.leave.weight"].dtype == torch.float16
    realism = copy.deepcopy(model.synthesis)
    added = realism_tensors(SMALL, half, realism.state_dict(), crops)
    assert {tensor.dtype for tensor in added.values()} == {torch.float16}
    quiet(realism)
    added = realism_tensors(SMALL, half, realism.state_dict(), crops)
    assert {tensor.dtype for tensor in added.values()} == {torch.float32}
    quiet(model.synthesis)
    whole = fidelity_tensors(model, images, crops, None)
    assert whole["synthesis.bypass.weight"].dtype == whole["mean_network.leave.weight"].dtype == torch.float32


@pytest.mark.parametrize("changed", ["", "synthesis.leave.mix.bias", "mean_network.leave.bias", "realism.x"])
def test_results_stay_with_the_weights_that_they_were_measured_on(changed: str) -> None:
    torch.manual_seed(0)
    tensors = release_tensors(RdpModel(SMALL), torch.float32)
    totals = Totals({"CPU": 1.0}, 2.0, 1)
    shares = DistortionShares(0.4, 0.2)
    record = release_record(Parts(SMALL, tensors, totals, shares, None), b"before", None)
    assert record["distortion"] == {"eyes": 0.4, "coarse": 0.2}
    assert "results" not in record
    assert record["bytes"] == len(b"before")
    assert record["training"] == totals.record()
    earlier = Release(tensors, {**record, "results": "measured"})
    others = {**tensors, changed: tensors.get(changed, torch.zeros(1)) + 1} if changed else tensors
    again = release_record(Parts(SMALL, others, totals, shares, None), b"after", earlier)
    assert again.get("results") == (None if changed.startswith(("synthesis", "mean")) else "measured")
