"""Training steps as CUDA graphs: recorded once, then launched as a whole."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

WARMUPS = 3


class CudaGraphed:
    """A function of tensors on a CUDA device that always does the same, recorded at its first call.

    A step of this small model is thousands of kernels of a few microseconds each, which take longer to launch
    one by one than to run. What the function leaves behind (its result, `.grad` of parameters) stays in the
    same memory and is overwritten by the next call.
    """

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self.function = function
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, *inputs: Tensor) -> Tensor:
        """inputs: with the same shapes and layouts as at the first call."""
        if self.graph is None:
            self.graph = self._record(inputs)
        for held, x in zip(self.inputs, inputs, strict=True):
            held.copy_(x)
        self.graph.replay()
        return self.result

    def _record(self, inputs: tuple[Tensor, ...]) -> torch.cuda.CUDAGraph:
        self.inputs = [x.clone() for x in inputs]
        # At the first calls libraries choose kernels and compilers compile, which cannot be recorded.
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARMUPS):
                self.function(*self.inputs)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.result = self.function(*self.inputs)
        return graph
