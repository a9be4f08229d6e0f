"""Several processes train as one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import distributed_probe
import pytest
import torch
from programs import free_port
from safetensors.torch import load_file
from short_runs import CPU

from rdpcodec.training import randomness
from rdpcodec.training.checkpoints.checkpoint import load_checkpoint
from rdpcodec.training.launch import leave_process_group


def test_processes_begin_with_equal_weights_and_go_on_with_other_crops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = []
    for rank in (0, 1, 2):
        monkeypatch.setattr(randomness, "process_rank", lambda rank=rank: rank)
        random = randomness.Randomness(seed=5)
        start = float(torch.rand(())), float(torch.rand((), generator=random.generator))
        random.seed_per_rank()
        drawn.append((start, float(torch.rand(())), float(torch.rand((), generator=random.generator))))
    starts, noise, crops = (set(each) for each in zip(*drawn, strict=True))
    assert (len(starts), len(noise), len(crops)) == (1, 3, 3)


def test_no_two_processes_draw_the_same_numbers() -> None:
    """Wherever they go on. The first process of a run begins with the run's own seed."""
    assert randomness.own_seed(5, 0) == 5
    seeds = [
        randomness.own_seed(seed, rank, steps)
        for seed in (0, 1, 1000, 2000)
        for rank in range(4)
        for steps in (0, 1, 1000, 2000)
    ]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.filterwarnings("ignore:Grad strides do not match")
def test_two_processes_are_one_with_twice_the_batch(
    image_folder: Path, tmp_path: Path, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two gloo processes, this one included, reach the same loss as one with the crops and noise of both."""
    script = Path(__file__).with_name("distributed_probe.py")
    words = [sys.executable, str(script), str(image_folder), str(small_model), str(tmp_path)]
    monkeypatch.setattr(torch, "rand_like", torch.rand_like)  # to have it back after the probe
    with monkeypatch.context() as first:
        # What torchrun sets for the processes that it starts.
        first.setenv("MASTER_ADDR", "127.0.0.1")
        first.setenv("MASTER_PORT", str(free_port()))
        first.setenv("WORLD_SIZE", "2")
        second = subprocess.Popen(words, env={**os.environ, "RANK": "1"}, stderr=subprocess.PIPE, text=True)
        first.setenv("RANK", "0")
        distributed_probe.main(image_folder, small_model, tmp_path)
        leave_process_group()
    _, said = second.communicate(timeout=240)
    assert second.returncode == 0, said
    together = load_checkpoint(tmp_path / "two" / "checkpoint.pt", CPU)
    distributed_probe.main(image_folder, small_model, tmp_path)
    alone = load_checkpoint(tmp_path / "one" / "checkpoint.pt", CPU)
    assert together["step"] == alone["step"] == 3
    assert together["pixels"] == alone["pixels"]
    start = load_file(small_model)
    moved, apart = (
        torch.cat([(weights - other[name]).flatten() for name, weights in alone["model"].items()]).norm()
        for other in (start, together["model"])
    )
    assert apart < 1e-2 * moved
    one, two = ([float(p.read_text()) for p in (tmp_path / n).glob("loss-*")] for n in ("one", "two"))
    assert len(two) == 2
    means = {n: [p.read_text() for p in (tmp_path / n).glob("mean-*")] for n in ("one", "two")}
    assert means == {"one": ["1.0"], "two": ["1.5", "1.5"]}
    assert [sum(two) / 2] == pytest.approx(one, rel=1e-4)
