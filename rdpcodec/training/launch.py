"""One run from start to end: sets up processes, threads and kernels, then runs the loop."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist

from rdpcodec.errors import RdpWarning, UsageError, warn
from rdpcodec.model.device import computes_bfloat16, usable_device
from rdpcodec.training.loop import CHECKPOINT, LOG, Loop, Objective
from rdpcodec.training.settings import Launch
from rdpcodec.training.speed.allocator import keep_all_memory

# Optimisers and data loading are made for these.
DEVICES = ("cpu", "cuda")


def train(objective: Callable[[torch.device], Objective], launch: Launch) -> None:
    """Make the objective on its device and train it to the end of its run's budget.

    Under torchrun, this process joins its group of processes. Raises `RdpError`, and `UsageError` when the
    folder already holds a run that is not to be resumed, or none that could be.
    """
    checkpoint = launch.out / CHECKPOINT
    if not launch.resume and checkpoint.exists():
        raise UsageError(f"{checkpoint}: a run already exists there: give --resume, or another --out")
    if launch.resume and not checkpoint.exists():
        raise UsageError(f"{checkpoint}: there is no checkpoint to resume from")
    device = training_device(launch.device)
    prepare()
    launch.out.mkdir(parents=True, exist_ok=True)
    (launch.out / LOG).open("a").close()  # refuse a folder that cannot be written to here, not after an hour
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)
    if "RANK" in os.environ:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        _loop(objective(device), launch)
    finally:
        leave_process_group()


def prepare() -> None:
    """Set this process up for training."""
    keep_all_memory()
    # Sums of latents and rates need all of float32. Shapes stay the same, so the fastest kernels can be
    # found by trying them out.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True


def training_device(chosen: str | None) -> torch.device:
    """The chosen device, or a GPU where there is one; this process's own GPU if torchrun started several.

    Raises `UsageError` when it cannot be used.
    """
    device = chosen or ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and "LOCAL_RANK" in os.environ:
        device = f"cuda:{os.environ['LOCAL_RANK']}"
    found = usable_device(device)
    if found.type not in DEVICES:
        raise UsageError(f"device {device!r}: training runs on {' and '.join(DEVICES)}")
    return found


def _loop(objective: Objective, launch: Launch) -> None:
    if objective.settings.bfloat16 and not computes_bfloat16(objective.device.type):
        kind = objective.device.type
        warn(f"this {kind} only emulates bfloat16, which is slower: leave --bfloat16 out", RdpWarning)
    loop = Loop(objective, launch.out)
    if launch.resume:
        loop.resume()
    with stopped_by_signals(loop.stop):
        loop.train(launch.checkpoint_minutes)


@contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM call `stop`; a second one acts at once."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread can handle signals
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def heard(number: int, frame: object) -> None:
        signal.signal(number, before[signal.Signals(number)])
        print("stopping after this step; once more stops at once", file=sys.stderr, flush=True)
        stop()

    try:
        for number in before:
            signal.signal(number, heard)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leave_process_group() -> None:
    """Leave torchrun's process group, if any. Call it when nothing refers to the model any more."""
    if dist.is_initialized():
        # The wrapper that averages gradients keeps the group's threads alive. If they end with the
        # interpreter, they abort it.
        gc.collect()
        dist.destroy_process_group()
