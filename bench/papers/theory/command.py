"""`python -m bench papers theory`: compute what the three papers claim, check it, draw it."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from bench.papers.reproduction import report_claims, result_options, write_page_figure, written


@click.command()
@result_options("theory")
def theory(out: Path, page: Path | None) -> None:
    """The theory behind the codec: three papers' claims, computed and checked."""
    from bench.papers.theory.papers import PAPERS  # cvxpy and matplotlib take two seconds to import

    broken = 0
    for name, paper in PAPERS.items():
        reproduction = paper.reproduction()
        record = reproduction.record()
        report_claims(record, paper.title, out / f"{name}.json", page, name)
        broken += sum(not claim["holds"] for claim in record["claims"])
        for figure_name, draw in paper.figures.items():
            write_page_figure(out / f"{figure_name}.png", draw(reproduction.curves))
    Console().print(written(out, page))
    if broken:
        raise click.ClickException(f"{broken} claims do not hold")
