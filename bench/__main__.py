"""`python -m bench …`: one command per question."""

from __future__ import annotations

import click

from bench.measure.auto_realism import auto
from bench.measure.distance import distance
from bench.measure.effort import effort
from bench.measure.graphics import graphics
from bench.measure.rd import rd
from bench.measure.speed import speed
from bench.measure.surface import peers, surface
from bench.papers.classification.command import classification
from bench.papers.digits.command import mnist
from bench.papers.theory.command import theory
from bench.report.gate import compare
from bench.report.publish import publish
from bench.report.realism_gains import realism
from bench.report.report import report


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def bench() -> None:
    """Measure rdpcodec and its peers."""


bench.add_command(auto)
bench.add_command(classification)
bench.add_command(compare)
bench.add_command(distance)
bench.add_command(effort)
bench.add_command(graphics)
bench.add_command(mnist)
bench.add_command(peers)
bench.add_command(publish)
bench.add_command(rd)
bench.add_command(realism)
bench.add_command(report)
bench.add_command(speed)
bench.add_command(surface)
bench.add_command(theory)

if __name__ == "__main__":
    bench()
