"""Processor time to decode an image of 768×512 by sizes with random weights, in turns: their ratio to `fast`.

    OMP_NUM_THREADS=1 python decoding.py
"""

import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save

from rdpcodec import Codec, use_threads
from rdpcodec.image import ImageData
from rdpcodec.model.rdp_model import RdpModel
from rdpcodec.model.released import arrays, release_tensors, table_tensors
from rdpcodec.training.export.counting import wide_tables
from rdpcodec.training.export.graphs import graphs as graphs_of
from rdpcodec.weights.architecture import SIZES
from rdpcodec.weights.tensors import graph_path
from rdpcodec.weights.release import ReleasedModel

ROUNDS = 4


def codec_of(name, folder):
    torch.manual_seed(0)
    model = RdpModel(SIZES[name])
    latents, hyper = wide_tables(model)
    tensors = release_tensors(model, torch.float16) | table_tensors("latents", latents) | table_tensors("hyper", hyper)
    path = folder / f"{name}.safetensors"
    path.write_bytes(save(tensors))
    graphs = {}
    for graph, blob in graphs_of(path.name, path.read_bytes(), SIZES[name]).items():
        graphs[graph] = graph_path(path, graph)
        graphs[graph].write_bytes(blob)
    return Codec(ReleasedModel.from_tensors(name, SIZES[name], arrays(tensors), graphs), engine="onnx")


def main():
    use_threads(1)
    pixels = np.random.default_rng(0).integers(0, 256, (512, 768, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        codecs = {name: codec_of(name, Path(folder)) for name in ("fast", "large")}
        symbols = {name: codec.analyse([ImageData(pixels)], 50) for name, codec in codecs.items()}
        seconds = {name: [] for name in codecs}
        for number in range(ROUNDS + 1):  # the first loads the networks
            for name, codec in codecs.items():
                began = time.process_time()
                codec.synthesise(symbols[name], 50, (768, 512))
                seconds[name] += [time.process_time() - began] * (number > 0)
    least = {name: min(times) for name, times in seconds.items()}
    print(json.dumps({"processor_seconds": seconds, "ratio_of_the_least": round(least["large"] / least["fast"], 2)}))


main()
