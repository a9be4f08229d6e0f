"""`python -m bench …`: one command per question."""

from __future__ import annotations

import click

from bench.ablation import ablation
from bench.auto import auto
from bench.compare import compare
from bench.conditioned import conditioned
from bench.distance import distance
from bench.effort import effort
from bench.estimate import estimate
from bench.graphics import graphics
from bench.mnist.command import mnist
from bench.publish import publish
from bench.rd import rd
from bench.realism import realism
from bench.report import report
from bench.restoration.command import classification
from bench.speed import speed
from bench.surface import peers, surface
from bench.theory.command import theory


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def bench() -> None:
    """Measure rdpcodec and its peers."""


bench.add_command(ablation)
bench.add_command(auto)
bench.add_command(classification)
bench.add_command(compare)
bench.add_command(conditioned)
bench.add_command(distance)
bench.add_command(effort)
bench.add_command(estimate)
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
