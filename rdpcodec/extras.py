"""Checks for packages that the light installation does not bring."""

from __future__ import annotations

from importlib.util import find_spec

from rdpcodec.errors import UsageError


def need_torch(what: str) -> None:
    """Raise `UsageError` for the feature `what`, with how to install torch, unless torch is there."""
    need("torch", what, "torch")


def need(package: str, what: str, extra: str) -> None:
    """Raise `UsageError` for the feature `what` unless a package is there. extra: the extra that has it."""
    if find_spec(package) is None:
        raise UsageError(f"{what} needs {package}: pip install 'rdpcodec[{extra}]'")
