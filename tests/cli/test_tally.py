"""What is reported about a batch while it runs and at its end."""

from __future__ import annotations

import pytest

from rdpcodec.batch.work import Outcome
from rdpcodec.cli.tally import Tally


@pytest.mark.parametrize(("before", "after", "said"), [(900, 400, "saved"), (400, 900, "added")])
def test_outputs_that_are_larger_than_their_sources_save_nothing(before: int, after: int, said: str) -> None:
    tally = Tally(2)
    tally.add(Outcome("a", "b", bytes_before=before, bytes_after=after))
    tally.add(Outcome("c", "d", bytes_before=70, bytes_after=70))
    assert tally.saved() == f"500 bytes {said}"
    assert f"{before + 70} bytes → {after + 70} bytes, 500 bytes {said}" in tally.summary()


def test_images_that_failed_are_no_longer_to_be_waited_for() -> None:
    tally = Tally(3)
    tally.add(Outcome("a", "b", bytes_before=900, bytes_after=400))
    tally.add(Outcome("c", "d", error="c: not an image"))
    assert (tally.shown()["completed"], tally.shown()["total"]) == (2, 3)
    assert (tally.record()["done"], tally.record()["failed"]) == (1, 1)
