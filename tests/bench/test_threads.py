"""Processes of the bench share the threads that the user grants."""

from __future__ import annotations

import pytest
import torch

from bench.threads import threads_a_process


@pytest.mark.parametrize(
    ("granted", "processes", "each"), [(1, 1, 1), (1, 2, 1), (4, 1, 4), (4, 3, 1), (4, 2, 2)]
)
def test_processes_share_the_threads_that_are_granted(
    monkeypatch: pytest.MonkeyPatch, granted: int, processes: int, each: int
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: granted)
    assert threads_a_process(processes) == each
