"""`python -m bench report publish` writes measured results into the manifest, the model card, README and
docs/results.md.

No figure there is copied by hand.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from bench.analysis.measured import load_measured
from bench.codecs import OURS, weights_identity
from bench.folder import FOLDER
from bench.record import read_record
from bench.report.tables import (
    closeness_table,
    headline_table,
    realism_table,
    result_lines,
    result_tables,
    speed_table,
)
from rdpcodec.errors import UsageError
from rdpcodec.files.whole_files import replace_file
from rdpcodec.peers import PEERS
from rdpcodec.training.markdown import replace_block
from rdpcodec.weights.manifest import DEFAULT_MODEL, ModelEntry
from rdpcodec.weights.release import ReleasedModel

CARD = "MODEL_CARD.md"
RESULTS_PAGE = Path("docs", "results.md")
# README compares with these formats besides AVIF.
_README_PEERS = ("jxl", "webp", "jpeg")


@click.command()
@click.argument("results", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--surface",
    "surfaces",
    type=FOLDER,
    multiple=True,
    help="Folder of `bench measure surface` and `peers`; the first also of `bench report realism-gains`.",
)
@click.option(
    "--root",
    type=FOLDER,
    default=Path(),
    help="The repository's root.",
)
def publish(results: Path, surfaces: tuple[Path, ...], root: Path) -> None:
    """Publish the figures of RESULTS, a file of `bench measure rd`, and of surfaces.

    README shows those of the first surface.
    """
    measured = read_record(results)
    if not isinstance(measured, dict) or not measured.keys() >= {"description", "results", "bd_rate"}:
        raise UsageError(f"{results}: not a result of `python -m bench measure rd`")
    path = root / "weights" / "manifest.json"
    manifest = read_record(path)
    for name, record in manifest["models"].items():
        entry = ModelEntry(name, path.parent / record["file"], record)
        identity = weights_identity(ReleasedModel.load(entry))
        if measured["description"].startswith(identity):
            break
    else:
        raise UsageError(f"{results}: measured with other weights: {measured['description']}")
    for surface in surfaces:
        _publish_surface(surface, name, identity, root, first=surface == surfaces[0])
    record["results"] = result_lines(measured)
    replace_file(path, (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode())
    command = f"python -m bench measure rd --data {measured['data']} --out {results}"
    if measured["name"] != OURS:
        command += f" --codecs {','.join([measured['name'], *measured['bd_rate']])}"
    tables = result_tables(measured, command)
    replace_block(root / "weights" / CARD, f"results {name}", tables)
    replace_block(root / RESULTS_PAGE, f"results {name}", tables)
    if measured["peers"]:
        replace_block(root / RESULTS_PAGE, f"speed {name}", speed_table(measured))


def _publish_surface(surface: Path, model: str, identity: str, root: Path, *, first: bool) -> None:
    """Publish one surface. Raises `UsageError` if it was traced with other weights."""
    traced = load_measured(surface / f"{OURS}.json")
    if not traced.description.startswith(identity):
        raise UsageError(f"{surface}: measured with other weights: {traced.description}")
    compared = model == DEFAULT_MODEL and (surface / "avif.json").exists()
    avif = load_measured(surface / "avif.json") if compared else None
    if avif:
        paths = {name: surface / f"{name}.json" for name in PEERS if name != "avif"}
        others = {name: load_measured(path) for name, path in paths.items() if path.exists()}
        table = closeness_table(traced, avif, list(others.values()))
        replace_block(root / RESULTS_PAGE, f"closeness {traced.data}", table)
    if first:
        gains = read_record(surface / "realism" / "gains.json")
        replace_block(root / RESULTS_PAGE, f"realism {model}", realism_table(gains))
        if avif:
            known = [others[name] for name in _README_PEERS if name in others]
            table = headline_table(traced, avif, gains, known)
            replace_block(root / "README.md", f"headline {model}", table)
