"""From a run to weights that code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.torch import load_file
from short_runs import loop_of, run_of

from rdpcodec import Codec
from rdpcodec.metrics.distortion import psnr
from rdpcodec.model.released import arrays
from rdpcodec.training.export.export import export
from rdpcodec.weights.architecture import architecture_from
from rdpcodec.weights.release import ReleasedModel


def test_an_exported_run_is_a_working_codec(
    picture_folder: Path, tmp_path: Path, small_model: Path, photograph: Image.Image
) -> None:
    loop_of(run_of(2), picture_folder, tmp_path, small_model).train(checkpoint_minutes=60)
    record = export(tmp_path / "checkpoint.pt", picture_folder, "fast", tmp_path / "weights", replace=True)
    assert record["training"]["runs"] == 1
    assert record["size"] == "own"
    path = tmp_path / "weights" / "fast.safetensors"
    tensors = load_file(path)
    architecture = architecture_from(record["architecture"])
    codec = Codec(ReleasedModel.from_tensors("fast", architecture, arrays(tensors)))
    image = photograph.crop((100, 100, 200, 180))
    decoded = codec.decompress(codec.compress(image, 80))
    # Even all but untrained the Haar transform makes a codec.
    assert psnr(np.asarray(image), np.asarray(decoded)) > 20

    # More training of the synthesis alone keeps files readable, more training of everything does not.
    (tmp_path / "more").mkdir()
    for trains in ("synthesis", "decoder", "everything"):
        run = run_of(2, trains=trains)
        loop_of(run, picture_folder, tmp_path / "more", init=path).train(checkpoint_minutes=60)
        checkpoint, folder = tmp_path / "more" / "checkpoint.pt", tmp_path / "weights"
        again = export(checkpoint, picture_folder, "fast", folder, replace=True)
        assert (again["bitstream_fingerprint"] == record["bitstream_fingerprint"]) == (trains == "synthesis")
        assert again["synthesis_fingerprint"] != record["synthesis_fingerprint"]
        assert again["training"]["runs"] == record["training"]["runs"] + 1
        record = again
    card = (tmp_path / "weights" / "MODEL_CARD.md").read_text()
    assert card.count("<!-- training fast -->") == card.count("<!-- data -->") == 1
    assert f"| {record['training']['runs']} |" in card
