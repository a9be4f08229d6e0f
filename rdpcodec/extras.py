"""What the plain installation does not bring."""

from __future__ import annotations

from importlib.util import find_spec

from rdpcodec.errors import UsageError


def need_torch(what: str) -> None:
    """Raise `UsageError`, which says how to install it, unless torch is there. what: what needs it."""
    need("torch", what, "torch")


def need(package: str, what: str, extra: str) -> None:
    """Raise `UsageError` unless a package is there. what: what needs it; extra: which brings it."""
    if find_spec(package) is None:
        raise UsageError(f"{what} needs {package}: pip install 'rdpcodec[{extra}]'")
