"""`python -m bench papers theory`: compute what the three papers claim, check it, draw it."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from bench.papers.reproduction import (
    claims_on_screen,
    claims_table,
    result_options,
    write_figure,
    written,
)
from bench.record import write_record
from rdpcodec.training.markdown import replace_block

PAPERS = {
    "perception_distortion": "The Perception-Distortion Tradeoff",
    "rate_distortion_perception": "The Rate-Distortion-Perception Tradeoff",
    "classification": "On the Classification-Distortion-Perception Tradeoff",
}


@click.command()
@result_options("theory")
def theory(out: Path, page: Path | None) -> None:
    """The theory that the codec stands on: three papers' claims, computed and checked."""
    # cvxpy and matplotlib take two seconds to import.
    from bench.papers.theory.claims import REPRODUCTIONS
    from bench.papers.theory.figures import FIGURES

    console = Console()
    out.mkdir(parents=True, exist_ok=True)
    broken = 0
    for name, title in PAPERS.items():
        reproduction = REPRODUCTIONS[name]()
        record = reproduction.record()
        console.print(claims_on_screen(title, record))
        broken += sum(not claim["holds"] for claim in record["claims"])
        write_record(out / f"{name}.json", record)
        for figure_name, draw in FIGURES[name].items():
            write_figure(out / f"{figure_name}.png", draw(reproduction.curves))
        if page:
            replace_block(page, f"claims {name}", claims_table(record))
    console.print(written(out, page))
    if broken:
        raise click.ClickException(f"{broken} claims do not hold")
