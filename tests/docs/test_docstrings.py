"""Examples in docstrings give the results that they show."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize("name", ["codec", "file_info", "operating_point", "targets"])
def test_examples_in_docstrings_are_true(name: str) -> None:
    found = doctest.testmod(import_module(f"rdpcodec.{name}"))
    assert found.attempted
    assert found.failed == 0
