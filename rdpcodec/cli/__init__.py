"""The command `rdpcodec`: one file per group of commands, imported when one of them runs.

Nothing here imports torch before an image is coded.
"""

from __future__ import annotations

from collections import UserDict
from importlib import import_module
from typing import Any

import click

from rdpcodec import __version__
from rdpcodec.command_line import run
from rdpcodec.engine.threads import wait_briefly

_MODULES = {
    "compress": "rdpcodec.cli.coding",
    "decompress": "rdpcodec.cli.coding",
    "batch": "rdpcodec.cli.batch",
    "suggest": "rdpcodec.cli.suggesting",
    "compare": "rdpcodec.cli.pages",
    "serve": "rdpcodec.cli.pages",
    "web": "rdpcodec.cli.web",
    "info": "rdpcodec.cli.describing",
    "models": "rdpcodec.cli.describing",
    "train": "rdpcodec.training.commands",
    "export": "rdpcodec.training.commands",
}


class _Commands(UserDict[str, Any]):
    """Commands by name. Each is imported when it runs, and does not wait for what the others need."""

    def __getitem__(self, name: str) -> click.Command:
        command: click.Command = getattr(import_module(self.data[name]), name)
        return command


@click.group(
    commands=_Commands(_MODULES),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", prog_name="rdpcodec")
def rdpcodec() -> None:
    """Compress images with a learned codec.

    \b
    rdpcodec compress photo.png            # → photo.rdpc
    rdpcodec decompress photo.rdpc         # → photo.png
    rdpcodec suggest photo.png             # what a few qualities would give
    """


def main() -> None:
    """Run the command line."""
    wait_briefly()
    run(rdpcodec)
