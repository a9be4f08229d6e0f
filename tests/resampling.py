"""Fewer resamplings of images, for tests of reports that do not test their number."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from bench.analysis.measured import image_weights
from bench.report import gate, report

RESAMPLINGS = 60


@pytest.fixture(autouse=True, scope="module")
def fewer_resamplings() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in (report, gate):
            patch.setattr(module, "image_weights", partial(image_weights, resamplings=RESAMPLINGS))
        yield
