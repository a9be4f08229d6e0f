from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_model import SMALL

from rdpcodec.training.cuda_graph import CudaGraphed
from rdpcodec.training.fidelity import Fidelity, FidelityRun


@pytest.mark.skipif(not torch.cuda.is_available(), reason="graphs are recorded on CUDA devices only")
def test_a_recorded_step_is_the_step(picture_folder: Path) -> None:
    """Without noise, so that the same images give the same gradients."""
    run = FidelityRun(gigapixels=1.0, batch=4, crop=64, trains="decoder")
    objective = Fidelity(run, picture_folder, torch.device("cuda"), architecture=SMALL)
    recorded = CudaGraphed(objective._gradients)
    trained = [p for p in objective.model.parameters() if p.requires_grad]
    for _ in range(3):
        inputs = objective.batch()
        expected = objective._gradients(*inputs)
        gradients = [p.grad for p in trained]
        found = recorded(*inputs)
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
        for parameter, gradient in zip(trained, gradients, strict=True):
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-2, atol=1e-4)
