"""Imports point one way: no cycles, and nothing imports what stands above it (docs/architecture.md)."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# The rooms of the package, from the lowest floor to the highest. Rooms on one floor do not import each other.
FLOORS = (
    ("errors", "file_type", "fork_lock", "exif_claims", "quality"),
    ("limits", "files", "entropy", "targets", "extras", "command_line"),
    ("metadata", "operating_point", "metrics"),
    ("image",),
    ("format", "peers"),
    ("weights", "groups", "arguments"),
    ("model", "file_info", "web"),
    ("engine",),
    ("tile_codec",),
    ("mosaic",),
    ("encoder",),
    ("codec",),
    ("functions", "training", "pages"),
    ("pillow_plugin", "compressai_model", "batch"),
    ("cli",),
)


def modules(package: str) -> dict[str, Path]:
    """Dotted names of a package's modules."""
    paths = [path for path in (ROOT / package).rglob("*.py") if "experiments" not in path.parts]
    names = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths}
    return {name.removesuffix(".__init__"): path for path, name in names.items()}


def imports(path: Path, known: dict[str, Path]) -> set[str]:
    """The modules among `known` that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            named = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= named & known.keys() or {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & known.keys()


@pytest.mark.parametrize("package", ["rdpcodec", "bench"])
def test_no_modules_import_each_other(package: str) -> None:
    known = modules(package)
    # The package's own `__init__` lazily imports what stands above it.
    graph = {name: imports(path, known) - {name, package} for name, path in known.items() if name != package}
    assert list(TopologicalSorter(graph).static_order())  # raises CycleError


def test_nothing_imports_what_stands_above_it() -> None:
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    known = modules("rdpcodec")
    upwards = []
    for name, path in known.items():
        room = name.split(".")[1] if "." in name else None
        if room in (None, "__main__"):
            continue
        for other in imports(path, known):
            target = other.split(".")[1] if "." in other else None
            if target not in (None, room) and floor[target] >= floor[room]:
                upwards.append(f"{name} imports {other}")
    assert not upwards
    assert floor.keys() == {name.split(".")[1] for name in known if "." in name} - {"__main__"}


def test_the_package_does_not_import_the_bench() -> None:
    for path in modules("rdpcodec").values():
        assert "bench" not in {name.split(".")[0] for name in imports(path, modules("bench"))}
