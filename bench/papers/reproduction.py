"""What reproducing a paper yields: claims with our figures beside them, curves, and how both are written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from bench.markdown import markdown_table
from bench.record import rounded, write_record
from rdpcodec.training.markdown import replace_block

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Claim:
    """One claim: what the paper says, what we found, and whether they agree.

    addition: the claim is the project's own, not a paper's.
    """

    claim: str
    paper: str
    ours: str
    holds: bool | np.bool_
    addition: bool = False


@dataclass(frozen=True)
class Reproduction:
    """A paper's curves, in a form for JSON, and its claims."""

    curves: dict[str, Any]
    claims: list[Claim]

    def record(self) -> dict[str, Any]:
        """As JSON: numbers to six digits, NaN as null."""
        return rounded({"claims": [asdict(claim) for claim in self.claims], **self.curves})


def as_stored(result: Any) -> Any:
    """A result with its numbers as `Reproduction.record` stores them, so that claims are checked on these."""
    return rounded(result, nulls=False)


def result_options(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options `--out` and `--page` of a command whose results are in `bench/results/<name>`."""
    out = click.option(
        "--out",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("bench/results") / name,
        show_default=True,
        help="Folder for JSON and figures.",
    )
    page = click.option(
        "--page",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="Markdown page whose tables of claims are renewed.",
    )
    return lambda command: out(page(command))


def claims_table(record: dict[str, Any]) -> str:
    """A record as a Markdown table of the papers' claims, and below it one of our own additions, if any."""
    tables = []
    for addition, heads in ((False, ("claim", "paper")), (True, ("addition of ours", "expected"))):
        rows = [_row(claim) for claim in record["claims"] if claim.get("addition", False) == addition]
        if rows:
            tables.append(markdown_table([*heads, "ours", "holds"], rows))
    return "\n\n".join(tables)


def _row(claim: dict[str, Any]) -> list[str]:
    cells = [claim[name].replace("|", r"\|") for name in ("claim", "paper", "ours")]  # as in E[X|Y]
    return [*cells, "yes" if claim["holds"] else "**no**"]


def claims_on_screen(title: str, record: dict[str, Any]) -> Table:
    """A record as a table for a terminal."""
    table = Table(title=title, title_justify="left")
    for column in ("claim", "paper", "ours", "holds"):
        table.add_column(column)
    for claim in record["claims"]:
        table.add_row(claim["claim"], claim["paper"], claim["ours"], "yes" if claim["holds"] else "NO")
    return table


def report_claims(record: dict[str, Any], title: str, path: Path, page: Path | None, block: str) -> None:
    """Print a record's claims, write the record to `path`, and renew a block of `page`.

    The folder of `path` is created.
    """
    Console().print(claims_on_screen(title, record))
    write_record(path, record)
    if page:
        replace_block(page, f"claims {block}", claims_table(record))


def write_page_figure(path: Path, figure: Figure) -> None:
    """Write a figure at the size that the page shows, and close it."""
    from bench import drawing  # takes a second to import

    drawing.write_figure(path, figure, dpi=90)


def written(out: Path, page: Path | None) -> str:
    """The last message of a command."""
    return f"written: {out}/" + (f", {page}" if page else "")
