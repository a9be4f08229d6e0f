"""`python -m bench effort`: what the search for better latents saves, and how long it takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from bench.codecs import BenchCodec, weights_identity
from bench.rd import bd_rate, data_option, load_folder, machine, measure
from rdpcodec import Codec

QUALITIES = (10.0, 30.0, 50.0, 70.0)
EFFORTS = (0, 2, 4, 6, 9)


def at_effort(codec: Codec, effort: int, qualities: tuple[float, ...]) -> BenchCodec:
    """Our codec at one effort."""
    return BenchCodec(
        f"effort {effort}",
        f"{weights_identity(codec)}, effort {effort}",
        qualities,
        lambda image, quality: codec.compress(image, quality, effort=effort),
        codec.decompress,
    )


def savings(measured: dict[int, dict[str, Any]]) -> list[dict[str, float]]:
    """Results of `measure` by effort → BD-rate against the lowest, and mean seconds to encode a picture."""
    anchor = measured[min(measured)]
    return [
        {
            "effort": effort,
            "bd_rate": round(bd_rate(anchor, found, "psnr-rgb"), 2),
            "seconds": round(float(np.mean(found["results"]["encoding_time"])), 2),
        }
        for effort, found in sorted(measured.items())
    ]


@click.command()
@data_option
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="FILE.json for the results.")
@click.option("--efforts", default=",".join(map(str, EFFORTS)), show_default=True)
@click.option("--qualities", default=",".join(f"{q:g}" for q in QUALITIES), show_default=True)
def effort(data: Path, out: Path | None, efforts: str, qualities: str) -> None:
    """BD-rate against effort 0, and seconds, for several efforts."""
    console, codec, pictures = Console(), Codec(), load_folder(data)
    dial = tuple(float(word) for word in qualities.split(","))
    chosen = sorted({0, *(int(word) for word in efforts.split(","))})
    measured = {level: measure(at_effort(codec, level, dial), pictures, console) for level in chosen}
    rows = savings(measured)
    table = Table("effort", "BD-rate", "seconds a picture", title=f"{len(pictures)} pictures of {data.name}")
    for row in rows:
        table.add_row(f"{row['effort']:g}", f"{row['bd_rate']:+.1f} %", f"{row['seconds']:.1f}")
    console.print(table)
    if out:
        record = {
            "data": data.name,
            "machine": machine(),
            "efforts": rows,
            "measured": list(measured.values()),
        }
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(record, separators=(",", ":")) + "\n", encoding="utf-8")
