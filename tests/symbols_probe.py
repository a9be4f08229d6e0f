"""Run by test_determinism in processes of their own: decode files and print a hash of their symbols.

Arguments: a JSON object {files, threads, deterministic, mkldnn, dtype, batch, device, inexact}.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import torch

from rdpcodec import Codec, container
from rdpcodec.entropy import exact
from rdpcodec.entropy.exact import ExactScaleNetwork
from rdpcodec.release import ReleasedModel
from rdpcodec.weights import find_model


def make_inexact() -> None:
    """The same network with weights off the integer grid: each a third of itself, the sums tripled."""
    pointwise, depthwise = exact._pointwise, exact._depthwise
    exact._pointwise = lambda x, weight, bias: 3 * pointwise(x, weight / 3, 0 * bias) + bias
    exact._depthwise = lambda x, weight: 3 * depthwise(x, weight / 3)


def main() -> None:
    setup = json.loads(sys.argv[1])
    torch.set_num_threads(setup.get("threads", 1))
    torch.use_deterministic_algorithms(setup.get("deterministic", False))
    torch.backends.mkldnn.enabled = setup.get("mkldnn", True)
    torch.set_float32_matmul_precision(setup.get("precision", "highest"))
    device = torch.device(setup.get("device", "cpu"))
    codec = Codec("fast", device)
    dtype = getattr(torch, setup.get("dtype", "float32"))
    codec._scale_network = ExactScaleNetwork(ReleasedModel.load(find_model("fast"), device).scale, device, dtype)
    if setup.get("inexact"):
        make_inexact()
    files = [container.read(Path(path).read_bytes()) for path in setup["files"]]
    batch = setup.get("batch", 1)
    digests = []
    for file in files:
        for symbols in codec.decode_symbols([file] * batch):
            digest = hashlib.sha256(symbols.hyper.tobytes() + symbols.residual.tobytes())
            digests.append(digest.hexdigest())
    print(json.dumps([digests[i * batch] for i in range(len(files))]))
    assert all(digests[i] == digests[i - i % batch] for i in range(len(digests)))


if __name__ == "__main__":
    main()
