"""`python -m bench …`: commands that measure, report on what was measured, and reproduce papers.

A command's module, and with it torch, is imported only when the command runs or prints its help.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from rdpcodec.errors import RdpError, reason


class LazyGroup(click.Group):
    """A group that imports a command only when it is asked for.

    places: for each command's name, its `module:function` and its line in the list of commands.
    """

    def __init__(self, name: str, about: str, places: dict[str, tuple[str, str]]) -> None:
        super().__init__(name, help=about)
        self.places = places

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands."""
        return list(self.places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in self.places:
            return None
        module, _, function = self.places[cmd_name][0].partition(":")
        command = getattr(import_module(module), function)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command. Our errors, from here or from a worker process, become `click.ClickException`, which
        prints one line.
        """
        try:
            return super().invoke(ctx)
        except RdpError as error:
            raise click.ClickException(reason(error)) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in self.places.items()])


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def bench() -> None:
    """Measure rdpcodec and its peers."""


bench.add_command(
    LazyGroup(
        "measure",
        "Measure codecs on images.",
        {
            "rd": ("bench.measure.rd:rd", "Rate, distortion, seconds and BD-rates."),
            "surface": ("bench.measure.surface:surface", "Our rate-distortion-perception surface."),
            "peers": ("bench.measure.surface:peers", "Other codecs in the same way."),
            "effort": ("bench.measure.effort:effort", "What the search for better latents saves."),
            "start": ("bench.measure.start:start", "Cold commands, and processes side by side."),
            "speed": ("bench.measure.speed:speed", "Seconds beside CompressAI's hyperprior."),
            "browser": ("bench.measure.browser:browser", "Time to the first image of a page."),
            "engines": (
                "bench.measure.engines:engines",
                "Seconds of both engines, by threads.",
            ),
            "distance": ("bench.measure.distance:distance", "Distances between two folders' images."),
            "auto-realism": ("bench.measure.auto_realism:auto_realism", "Which realism is chosen."),
            "drawn": (
                "bench.measure.drawn.command:drawn",
                "Images that are not photographs, against AVIF and WebP.",
            ),
        },
    )
)
bench.add_command(
    LazyGroup(
        "report",
        "Report on what was measured.",
        {
            "page": ("bench.report.report:page", "One page and its figures."),
            "gate": ("bench.report.gate:gate", "Whether a change of weights is better."),
            "realism-gains": ("bench.report.realism_gains:realism_gains", "What realism buys."),
            "publish": ("bench.report.publish:publish", "Results into manifest, model card and README."),
        },
    )
)
bench.add_command(
    LazyGroup(
        "papers",
        "Reproduce what papers claim.",
        {
            "theory": ("bench.papers.theory.command:theory", "Closed forms of the trade-offs."),
            "methods": ("bench.papers.methods.command:methods", "Codecs and super-resolution in one plane."),
            "denoising": (
                "bench.papers.denoising.command:denoising",
                "A generator between least error and perfect perception.",
            ),
            "digits": ("bench.papers.digits.command:digits", "Learned codecs of MNIST's digits."),
            "classification": (
                "bench.papers.classification.command:classification",
                "Restoration, perception and a classifier's errors.",
            ),
        },
    )
)

if __name__ == "__main__":
    bench()
