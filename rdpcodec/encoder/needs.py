"""What an operating point needs besides the light installation."""

from __future__ import annotations

from rdpcodec.extras import need_torch
from rdpcodec.metrics.full_reference import full_reference
from rdpcodec.operating_point import OperatingPoint
from rdpcodec.targets import Bounds, Target

EFFORT = "effort 1 to 9"


def check_installed(point: OperatingPoint) -> None:
    """Raise `UsageError`, which says what to install, when the point's search or target needs a package or
    weights that are missing.
    """
    if point.effort:
        need_torch(EFFORT)
    quality = point.quality
    targets = [quality.distortion, quality.perception] if isinstance(quality, Bounds) else [quality]
    for target in targets:
        if isinstance(target, Target) and not target.is_of_rate:
            full_reference(target.kind)
