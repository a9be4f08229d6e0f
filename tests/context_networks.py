"""Context networks and tables whose weights spread over their whole ranges, whatever they are good for."""

from __future__ import annotations

import numpy as np
import torch

from rdpcodec.entropy.context import CONTEXT_TABLES, ContextModel
from rdpcodec.entropy.tables import TableFamily, integer_frequencies
from rdpcodec.model.context_network import ContextNetwork, context_tensors
from rdpcodec.model.released import arrays
from rdpcodec.weights.release import context_weights

CHANNELS = 7


def random_network(seed: int) -> ContextNetwork:
    """A network of float64 with means on both sides and scales over all of their range."""
    torch.manual_seed(seed)
    network = ContextNetwork(CHANNELS, hidden=9).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
        network.leave.bias[:, CHANNELS:] = 0.5
    return network


def random_tables(seed: int) -> TableFamily:
    """Tables of reach 1 to 9: what lies beyond takes escapes."""
    generator = np.random.default_rng(seed)
    reach = generator.integers(1, 10, CONTEXT_TABLES).astype(np.int32)
    tables = [integer_frequencies(generator.random(2 * r + 2)) for r in reach]
    return TableFamily(np.concatenate(tables), reach, escape=True)


def random_model(seed: int) -> ContextModel:
    """A network with such tables."""
    weights = context_weights(arrays(context_tensors(random_network(seed))))
    return ContextModel(weights, random_tables(seed))
