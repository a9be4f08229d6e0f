"""pyplot as all figures use it: without a display, since they are only written to files."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot

__all__ = ["pyplot"]
