"""The parts of `MODEL_CARD.md` that are facts about a release: its training runs and its images.

They stand between markers, `<!-- training fast -->` … `<!-- end -->`, and are replaced at every export; what
people write around them stays.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path
from typing import Any

CARD = "MODEL_CARD.md"


def replace_block(path: Path, name: str, content: str) -> None:
    """Replace what stands between `<!-- name -->` and the next `<!-- end -->` in a Markdown file.

    A block that the file lacks is appended, a missing file is begun.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else "# Released weights\n"
    block = f"<!-- {name} -->\n{content.strip()}\n<!-- end -->"
    pattern = re.compile(rf"<!-- {re.escape(name)} -->.*?<!-- end -->", re.DOTALL)
    text, found = pattern.subn(lambda _: block, text, count=1)
    path.write_text(text if found else f"{text.rstrip()}\n\n{block}\n", encoding="utf-8")


def training_block(record: dict[str, Any]) -> str:
    """A release's manifest record → sizes and the table of its runs."""
    trainings = [("fidelity", record["training"])]
    if "realism" in record:
        trainings.append(("realism", record["realism"]["training"]))
    sums = "; ".join(
        f"{name}: {hours_by_device(training['runs'])}, {training['gigapixels']:.1f} gigapixels of crops"
        for name, training in trainings
    )
    together = [run for run in trainings[0][1]["runs"] if run.get("perception")]
    if together:
        sums += f"; {hours_by_device(together)} of both in the same runs"
    size = f"{record['parameters'] / 1e6:.2f} million parameters"
    if "realism" in record:
        size += f", {record['realism']['parameters'] / 1e6:.2f} million more for realism"
    lines = [
        f"{size}, {record['bytes'] / 1e6:.2f} MB as {record['dtype']}. {sums[0].upper()}{sums[1:]}.",
        "",
        "| run | hours | gigapixels | crops a process and step | learning rate | what |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, training in trainings:
        for number, run in enumerate(training["runs"], 1):
            what = run.get("discriminator") or run.get("trains", "everything")
            if run.get("device"):
                what += f" on {run['device']}"
            if run.get("size"):
                what += f" in size {run['size']}"
            if run.get("perception"):
                what += f" with realism, which has {100 * run['perception']:g} % of the distortion"
            lines.append(
                f"| {name} {number} | {run['hours']:.2f} | {run['gigapixels']:.2f} "
                f"| {run['batch']} of {run['crop']}² | {run['learning_rate']:g} "
                f"| {what}{', ' + run['note'] if run.get('note') else ''} |"
            )
    return "\n".join(lines)


def hours_by_device(runs: list[dict[str, Any]]) -> str:
    """How long runs took on each kind of device, as words."""
    hours: Counter[str] = Counter()
    for run in runs:
        hours[run.get("device", "CPU")] += run["hours"]
    return " and ".join(f"{total:.2g} hours on {device}" for device, total in hours.items())


def data_block(folder: Path) -> str:
    """The images of a training folder by source and licence, from its `MANIFEST.tsv`
    (`path width height source licence`); a sentence that says so where it has none.
    """
    manifest = folder / "MANIFEST.tsv"
    if not manifest.exists():
        return "The folder of training images had no MANIFEST.tsv: their sources were not recorded."
    pictures: Counter[tuple[str, str]] = Counter()
    pixels: Counter[tuple[str, str]] = Counter()
    with manifest.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            key = (row["source"].split("@")[0], row["licence"])
            pictures[key] += 1
            pixels[key] += int(row["width"]) * int(row["height"])
    lines = [
        f"{pictures.total()} photographs, {pixels.total() / 1e6:.0f} megapixels. "
        "Licences as stated by each source.",
        "",
        "| source | images | megapixels | licence |",
        "| --- | --- | --- | --- |",
    ]
    for (source, licence), count in sorted(pixels.items(), key=lambda item: -item[1]):
        lines.append(f"| {source} | {pictures[source, licence]} | {count / 1e6:.1f} | {licence} |")
    return "\n".join(lines)
