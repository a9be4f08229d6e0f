"""`python -m bench theory`: compute what the three papers claim, check it, draw it."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from PIL import Image
from rich.console import Console
from rich.table import Table

from rdpcodec.training.model_card import replace_block

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAPERS = {
    "perception_distortion": "The Perception-Distortion Tradeoff",
    "rate_distortion_perception": "The Rate-Distortion-Perception Tradeoff",
    "classification": "On the Classification-Distortion-Perception Tradeoff",
}


def claims_table(record: dict[str, Any]) -> str:
    """A record of `python -m bench theory` as a Markdown table of its claims."""
    lines = ["| claim | paper | ours | holds |", "| --- | --- | --- | --- |"]
    for claim in record["claims"]:
        holds = "yes" if claim["holds"] else "**no**"
        cells = [claim[name].replace("|", r"\|") for name in ("claim", "paper", "ours")]  # of E[X|Y]
        lines.append(f"| {' | '.join(cells)} | {holds} |")
    return "\n".join(lines)


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("bench/results/theory"),
    show_default=True,
    help="Folder for JSON and figures.",
)
@click.option(
    "--page",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Markdown page whose tables of claims to renew, docs/papers.md.",
)
def theory(out: Path, page: Path | None) -> None:
    """The theory that the codec stands on: three papers' claims, computed and checked."""
    # cvxpy and matplotlib take two seconds to import.
    from bench.theory import claims
    from bench.theory.figures import FIGURES

    console = Console()
    out.mkdir(parents=True, exist_ok=True)
    broken = 0
    for name, title in PAPERS.items():
        reproduction = getattr(claims, name)()
        record = reproduction.record()
        table = Table(title=title, title_justify="left")
        for column in ("claim", "paper", "ours", "holds"):
            table.add_column(column)
        for claim in record["claims"]:
            table.add_row(claim["claim"], claim["paper"], claim["ours"], "yes" if claim["holds"] else "NO")
            broken += not claim["holds"]
        console.print(table)
        _write(out / f"{name}.json", (json.dumps(record, ensure_ascii=False) + "\n").encode())
        for figure_name, draw in FIGURES[name].items():
            _write(out / f"{figure_name}.png", _png(draw(reproduction.curves)))
        if page:
            replace_block(page, f"claims {name}", claims_table(record))
    console.print(f"written: {out}/" + (f", {page}" if page else ""))
    if broken:
        raise click.ClickException(f"{broken} claims do not hold")


def _png(figure: Figure) -> bytes:
    """A figure as a PNG of 256 colours, half the bytes of one in full colour."""
    drawn, reduced = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=90)
    Image.open(drawn).convert("RGB").quantize(256).save(reduced, format="PNG", optimize=True)
    return reduced.getvalue()


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    os.replace(partial, path)
