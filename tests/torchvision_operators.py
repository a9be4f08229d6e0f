"""Import this before anything that imports torchvision. A registry's torchvision does not load beside a
CPU-only torch until its two operators are declared. A matching torchvision has declared them itself.
"""

from __future__ import annotations

import contextlib

import torch

with contextlib.suppress(RuntimeError):
    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
