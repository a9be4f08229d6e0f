"""Run by test_determinism in separate processes: decode files under one setup after another, and print hashes
of their symbols and table indices.

Argument: JSON, {files, setups}; a setup is {engine, threads, deterministic, mkldnn, precision, dtype, batch,
device, inexact}, each of which but the first may be missing.
"""

from __future__ import annotations

import hashlib
import json
import sys
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from rdpcodec import Codec
from rdpcodec.engine.threads import use_threads
from rdpcodec.errors import FormatError
from rdpcodec.format import container
from rdpcodec.format.container import Container
from rdpcodec.model import integer_scales
from rdpcodec.model.integer_scales import IntegerScaleNetwork
from rdpcodec.weights.manifest import find_model
from rdpcodec.weights.release import ReleasedModel


def inexact() -> Any:
    """The same network with weights off the integer grid: each a third of itself, the sums tripled."""
    pointwise, depthwise = integer_scales._pointwise, integer_scales._depthwise
    return patch.multiple(
        integer_scales,
        _pointwise=lambda x, weight, bias: 3 * pointwise(x, weight / 3, 0 * bias) + bias[:, None, None],
        _depthwise=lambda x, weight: 3 * depthwise(x, weight / 3),
    )


@cache
def on_torch(device: str) -> Codec:
    """A codec for all setups of a device."""
    return Codec("fast", device, engine="torch")


def hashes(files: list[Container], setup: dict[str, Any]) -> list[tuple[str, str]]:
    """For each file: the hash of its symbols as decoded under a setup, and that of its table indices."""
    threads = setup.get("threads", 1)
    use_threads(threads)
    torch.set_num_threads(threads)
    deterministic = setup.get("deterministic", False)
    if deterministic != torch.are_deterministic_algorithms_enabled():  # switching takes a second of imports
        torch.use_deterministic_algorithms(deterministic)
    torch.backends.mkldnn.enabled = setup.get("mkldnn", True)
    torch.set_float32_matmul_precision(setup.get("precision", "highest"))
    device = torch.device(setup.get("device", "cpu"))
    # A session of ONNX Runtime keeps the number of threads that it was loaded with.
    codec = on_torch(str(device)) if setup["engine"] == "torch" else Codec("fast", engine="onnx")
    engine = codec.engine
    if setup["engine"] == "torch":
        engine.scale_network = IntegerScaleNetwork(ReleasedModel.load(find_model("fast")).scale, device)
    found = []
    for file in files:
        tables = hashlib.sha256()

        def recorded(*arguments: Any, digest: Any = tables) -> np.ndarray:
            indices = engine.tables(*arguments)
            digest.update(indices[:1].tobytes())
            return indices

        codec.tile_codec.engine = SimpleNamespace(hyper_latents=engine.hyper_latents, tables=recorded)
        try:
            decoded = codec.decode_symbols([file] * setup.get("batch", 1))
            digests = {
                hashlib.sha256(s.hyper.tobytes() + s.residual.tobytes()).hexdigest() for (s,) in decoded
            }
            (symbols,) = digests  # every member of a batch decodes alike
        except FormatError:
            symbols = "undecodable"
        finally:
            codec.tile_codec.engine = engine
        found.append((symbols, tables.hexdigest()))
    return found


def main() -> None:
    argument = json.loads(sys.argv[1])
    files = [container.read(Path(path).read_bytes()) for path in argument["files"]]
    found = {}
    for name, setup in argument["setups"].items():
        dtype = patch.object(integer_scales, "DTYPE", getattr(torch, setup.get("dtype", "float32")))
        with dtype, inexact() if setup.get("inexact") else nullcontext():
            found[name] = hashes(files, setup)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
