"""How many bits of the hyper-latents do which neighbours save?

python contexts.py collect DATA TILES.pickle
python contexts.py try TILES.pickle CONTEXT MINUTES

DATA: a folder of training images. CONTEXT: none, quarters, diagonals, skewed (one position above on the right more),
wide (5×5) or groups (half of the channels see the other half).
"""

import pickle
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from rdpcodec import Codec
from rdpcodec.entropy.coder import Encoder
from rdpcodec.format.hyper_latents import FactorisedCoder
from rdpcodec.image import ImageData
from rdpcodec.model.context_network import logistic_mass
from rdpcodec.model.rate import interpolate_knots
from rdpcodec.training.data import load_images
from rdpcodec.tile_codec import TileCodec
from rdpcodec.weights.manifest import find_model
from rdpcodec.weights.release import ReleasedModel

HIDDEN, BATCH, RATE, SIDE = 96, 24, 2e-3, 16
HELD_OUT = (5.0, 15.0, 25.0, 35.0, 50.0, 85.0)


def tiles(codec, coder, images, held_out):
    """Hyper-latents, quality, bits that they take now and bits of the file, for the first tile of each image."""
    generator = np.random.default_rng(5)
    for number in range(len(images)):
        pixels = images.image(number)[:1024, :1024].copy()
        for quality in HELD_OUT if held_out else 100 * generator.random(5) ** 1.5:
            symbols = codec.analyse([ImageData(pixels)], float(quality))[0][0]
            encoder = Encoder()
            coder.write(encoder, symbols.hyper, float(quality))
            file = len(codec.tile_codec.encode(symbols, float(quality)))
            yield symbols.hyper.astype(np.int16), float(quality), 8 * len(encoder.bytes()), 8 * file


def collect(data, path):
    """Write the tiles of training and held-out images."""
    codec, released = Codec(), ReleasedModel.load(find_model("fast"))
    coder = FactorisedCoder(released.hyper_tables)
    codec.tile_codec = TileCodec(codec.engine, released.latent_tables, coder)  # as without a context network
    training, held_out = load_images(Path(data), 256, torch.device("cpu"))
    found = list(tiles(codec, coder, training, False)), list(tiles(codec, coder, held_out, True))
    Path(path).write_bytes(pickle.dumps(found))


def order(context, channels, height, width):
    """When each hyper-latent is decoded, `[M, h, w]`: 0, 1, …"""
    i, j = np.indices((height, width))
    turns = {
        "none": 0 * i,
        "quarters": np.where(i % 2 == j % 2, i % 2, 2 + i % 2),
        "diagonals": i + j,
        "wide": i + j,
        "groups": 2 * (i + j),
        "skewed": 2 * i + j,
    }[context]
    group = np.arange(channels) % 2 if context == "groups" else np.zeros(channels, int)
    return turns + group[:, None, None]


class Network(nn.Module):
    """Hyper-latents decoded so far, and where they are known → mean and logarithmic scale of each."""

    def __init__(self, channels, side):
        super().__init__()
        self.enter = nn.Conv2d(2 * channels, HIDDEN, side, padding=side // 2)
        self.enter_bias = nn.Parameter(torch.zeros(8, HIDDEN))
        self.hidden, self.leave = nn.Conv2d(HIDDEN, HIDDEN, 1), nn.Conv2d(HIDDEN, 2 * channels, 1)
        self.leave_bias = nn.Parameter(torch.zeros(8, 2 * channels))
        nn.init.zeros_(self.leave.weight)
        with torch.no_grad():
            self.leave_bias[:, channels:] = -1.0

    def bits(self, z, known, quality):
        x = self.enter(torch.cat([z * known / 4, known], 1))
        x = F.relu(x + interpolate_knots(self.enter_bias, quality)[:, :, None, None])
        x = self.leave(F.relu(self.hidden(x))) + interpolate_knots(self.leave_bias, quality)[:, :, None, None]
        mean, scale = x.chunk(2, 1)
        return -torch.log2(logistic_mass((z - mean).abs(), torch.exp(-scale.clamp(-4, 5))).clamp_min(1e-9))


def held_out_bits(network, context, found):
    """Bits of a tile by the network, each hyper-latent in its turn."""
    hyper, quality, _, _ = found
    turns, z = torch.from_numpy(order(context, *hyper.shape)), torch.from_numpy(hyper.astype(np.float32))[None]
    total = 0.0
    for turn in range(int(turns.max()) + 1):
        known = (turns < turn).float()[None]
        total += float((network.bits(z, known, torch.tensor([quality])) * (turns == turn)).sum())
    return total


def batch(training, context, generator):
    """Tiles, what is known of them at a random turn, and what that turn decodes."""
    channels = len(training[0][0])
    z, known, now = (torch.zeros(BATCH, channels, SIDE, SIDE) for _ in range(3))
    quality = torch.zeros(BATCH)
    for b, number in enumerate(generator.integers(len(training), size=BATCH)):
        hyper, quality[b], _, _ = training[number]
        hyper = hyper[:, :, ::-1].copy() if generator.random() < 0.5 else hyper
        _, h, w = hyper.shape
        turns = torch.from_numpy(order(context, *hyper.shape))
        turn = int(generator.integers(int(turns.max()) + 1))
        z[b, :, :h, :w] = torch.from_numpy(hyper.astype(np.float32))
        known[b, :, :h, :w], now[b, :, :h, :w] = turns < turn, turns == turn
    return z, known, now, quality


def train(path, context, minutes):
    """Train one network and print what it saves on held-out images."""
    torch.manual_seed(0)
    training, held_out = pickle.loads(Path(path).read_bytes())
    network = Network(len(training[0][0]), 5 if context == "wide" else 3)
    optimizer, generator = torch.optim.AdamW(network.parameters(), RATE, weight_decay=1e-4), np.random.default_rng(1)
    start, steps = time.process_time(), 0
    while (spent := (time.process_time() - start) / 60 / minutes) < 1:
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, steps / 100) * max(0.02, 1 - spent)
        z, known, now, quality = batch(training, context, generator)
        loss = (network.bits(z, known, quality) * now).sum() / now[:, 0].sum().clamp_min(1)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        steps += 1
    with torch.no_grad():
        for quality in HELD_OUT:
            some = [found for found in held_out if found[1] == quality]
            after = sum(held_out_bits(network, context, found) for found in some)
            before, files = (sum(found[place] for found in some) for place in (2, 3))
            print(
                f"{context}: quality {quality:.0f}: {100 * (after / before - 1):+.1f} % of the hyper-latents' bits, "
                f"{100 * (after - before) / files:+.2f} % of all ({steps} steps)"
            )


if __name__ == "__main__":
    torch.set_num_threads(1)
    task, *words = sys.argv[1:]
    if task == "collect":
        collect(*words)
    else:
        train(words[0], words[1], float(words[2]))
