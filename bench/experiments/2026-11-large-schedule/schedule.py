"""The schedule of `large` with networks of toy size in its place, and what carrying it in pieces costs.

    OMP_NUM_THREADS=1 python schedule.py PICTURES LPIPS OUT schedule.json
"""

import contextlib
import dataclasses
import hashlib
import io
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from rdpcodec import Codec
from rdpcodec.format import container
from rdpcodec.cli import rdpcodec
from rdpcodec.training import fidelity, haar, schedule, validation
from rdpcodec.training.export import counting
from rdpcodec.training.large.train import train as large
from rdpcodec.training.fidelity import Fidelity
from rdpcodec.training.large.judging import NotWorthIt
from rdpcodec.training.large.parts import PARTS
from rdpcodec.training.pieces import joined, split
from rdpcodec.training.schedule import rate_factor
from rdpcodec.weights.architecture import SIZES, Architecture
from rdpcodec.weights.manifest import ModelEntry
from rdpcodec.weights.release import ReleasedModel

TOY = Architecture(
    eighth=16, sixteenth=24, latents=96, hyper_latents=8, prior=16, scale=8,
    analysis_blocks=(1, 1), synthesis_blocks=(1, 1), gated=True,
)
# Steps, crops a step and their side, of each part.
SMALL = {1: (100, 4, 64), 2: (100, 4, 64), 3: (100, 1, 128), 4: (40, 2, 64), 5: (40, 2, 64)}
# Of a part's steps in place of 200 of some 10 000: as few as let the optimizers find their state again.
WARMUP = 20
BEFORE, AFTER, EVERY = 100, 120, 30


def said(*words):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        rdpcodec([str(word) for word in words], standalone_mode=False)


def part(number, data, lpips, out):
    steps, batch, crop = SMALL[number]
    words = ["--batch", batch, "--crop", crop, "--gigapixels", steps * batch * crop**2 / 1e9, "--device", "cpu"]
    verdict = None
    try:
        said("train", "large", "--part", number, "--data", data, "--out", out, "--lpips-weights", lpips, *words)
    except NotWorthIt as error:
        verdict = str(error)
    lines = [json.loads(line) for line in (out / f"part-{number}" / "log.jsonl").read_text().splitlines()]
    pieces = sorted((out / f"part-{number}" / "pieces").iterdir())
    kept = ("step", "loss", "gigapixels", "validation_loss", "validation_ssimulacra2", "validation_lpips",
            "validation_psnr_lpips")
    found = {key: lines[-1][key] for key in kept if key in lines[-1]}
    found["pieces_bytes"] = [path.stat().st_size for path in pieces]
    print(number, found, verdict, flush=True)
    return found | ({"verdict": verdict} if verdict else {})


def decoded(out, data):
    record = json.loads((out / "weights" / "manifest.json").read_text())["models"]["large"]
    entry = ModelEntry("large", out / "weights" / record["file"], record)
    codecs = [Codec(ReleasedModel.load(entry), engine=name) for name in ("onnx", "torch")]
    image = Image.open(next(iter(sorted(data.rglob("*.jpg"))))).convert("RGB").crop((0, 0, 300, 200))
    file = codecs[0].compress(image, 60)
    symbols = [codec.decode_symbols([container.read(file)])[0][0] for codec in codecs]
    digests = [hashlib.sha256(s.hyper.tobytes() + s.tables.tobytes() + s.residual.tobytes()).hexdigest()[:16]
               for s in symbols]
    apart = {}
    for realism in (0.0, 0.5, 1.0):
        pixels = [np.asarray(codec.decompress(file, realism=realism), int) for codec in codecs]
        apart[str(realism)] = int(np.abs(pixels[0] - pixels[1]).max())
    return {"size": container.read(file).header.size, "bytes": len(file), "symbols_sha256": digests,
            "pixels_apart_at_most": apart, "training": record["training"]}


def carried(data, out):
    """Validation losses of a run that goes on exactly, and of runs that go on with pieces, on the same crops."""
    run = dataclasses.replace(PARTS[1].run, batch=4, crop=64)
    objective = Fidelity(run, data, torch.device("cpu"))
    for step in range(BEFORE):
        objective.train_step(rate_factor(step, 0.0, 0.0))
    state = objective.state() | {"seconds": 0.0, "pixels": 0, "device": "cpu"}  # the last as a loop adds them
    found = {"before": objective.validate()["validation_loss"]}
    split(state, out / "carried")
    buffer = io.BytesIO()
    torch.save(state, buffer)
    found["checkpoint_bytes"] = len(buffer.getvalue())
    found["pieces_bytes"] = sum(path.stat().st_size for path in (out / "carried").iterdir())

    def go_on(name, factor):
        losses = []
        for step in range(AFTER):
            objective.train_step(factor(step))
            if (step + 1) % EVERY == 0:
                figures = objective.validate()
                losses.append([figures["validation_loss"], float(np.mean(figures["validation_ssimulacra2"]))])
        found[name] = losses
        print(name, losses, flush=True)

    def begin_anew(only_averages):
        fresh = Fidelity(run, data, torch.device("cpu"), init=out / "carried")
        if not only_averages:
            fresh.take_over(joined(out / "carried"))
        buffer.seek(0)
        old = torch.load(buffer, weights_only=True)
        fresh.randomness.load(old, 0)
        return fresh

    go_on("exactly", lambda step: 1.0)
    for name, only_averages in (("pieces", False), ("averages alone", True)):
        objective = begin_anew(only_averages)
        go_on(name, lambda step: min(1.0, (step + 1) / WARMUP))
    return found


def main(data, lpips, out, result):
    torch.set_num_threads(1)
    SIZES["large"] = TOY
    fidelity.GRAPHICS_IMAGES, haar.BASIS_PATCHES = 8, 4000
    large.SIDE = validation.SIDE = 128
    validation.CROPS = 6
    schedule.WARMUP_STEPS = WARMUP
    counting.CALIBRATION_CROPS, counting.CALIBRATION_SIDE = 40, 128
    began = time.process_time()
    found = {"torch": torch.__version__, "parts": {}}
    found["carried"] = carried(data, out)
    result.write_text(json.dumps(found, indent=1) + "\n")
    for number in SMALL:
        if number == 5:
            said("export", out / "part-4" / "pieces", out / "weights", "--data", data)
        found["parts"][number] = part(number, data, lpips, out)
    said("export", out / "part-5" / "pieces", out / "weights", "--data", data)
    found["decoded"] = decoded(out, data)
    found["cpu_seconds"] = round(time.process_time() - began, 1)
    result.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
