"""`python -m tests.fuzz`: as many hostile inputs as there is time for. For a nightly run: 100 000 cases.

Every failing input is kept in a folder, with the error beside it; the exit status is then 1.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from .campaign import Result, kinds, run

_SHARES = {"coded": 0.4, "pillow": 0.1, "source": 0.4, "metadata": 0.1}


@click.command()
@click.option("--cases", type=click.IntRange(1), default=100_000, show_default=True, help="How many in all.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same cases.")
@click.option("--only", type=click.Choice(list(_SHARES)), help="One kind alone.")
@click.option("--keep", type=click.Path(path_type=Path), default=Path("fuzz-failures"), show_default=True)
def main(cases: int, seed: int, only: str | None, keep: Path) -> None:
    """Try hostile .rdpc files, sources and metadata: each must be taken, or refused with an error of ours."""
    results = []
    for kind, case in kinds().items():
        if only in (None, kind):
            count = cases if only else max(1, round(cases * _SHARES[kind]))
            results.append(run(kind, case, count, seed))
            report(results[-1], keep)
    sys.exit(any(result.failures for result in results))


def report(result: Result, keep: Path) -> None:
    """Print one line; write a file for each failure."""
    click.echo(
        f"{result.kind:9} {result.taken:7} taken {result.refused:7} refused {len(result.failures):5} failed, "
        f"slowest {result.slowest:.2f} s"
    )
    for number, data, error in result.failures:
        keep.mkdir(parents=True, exist_ok=True)
        path = keep / f"{result.kind}-{number}"
        path.write_bytes(data)
        path.with_name(path.name + ".txt").write_text(error + "\n", "utf-8")
        click.echo(f"  {path}: {error}")


if __name__ == "__main__":
    main()
