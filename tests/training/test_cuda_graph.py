from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from rdpcodec.training.speed.cuda_graph import CudaGraphed


@pytest.mark.skipif(not torch.cuda.is_available(), reason="graphs are recorded on CUDA devices only")
def test_a_recorded_function_does_the_same_to_other_inputs() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 1)).cuda()

    def gradients(x: Tensor) -> Tensor:
        for parameter in network.parameters():
            parameter.grad = None
        loss = network(x).square().mean()
        loss.backward()
        return loss.detach()

    recorded = CudaGraphed(gradients)
    for _ in range(3):
        x = torch.randn(32, 8, device="cuda")
        expected = gradients(x)
        wanted = [p.grad for p in network.parameters()]
        torch.testing.assert_close(recorded(x), expected)
        for parameter, gradient in zip(network.parameters(), wanted, strict=True):
            torch.testing.assert_close(parameter.grad, gradient)
