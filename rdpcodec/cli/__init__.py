"""The command `rdpcodec`: one file per group of commands.

Nothing here imports torch before an image is coded.
"""

from __future__ import annotations

import sys

import click

from rdpcodec import __version__
from rdpcodec.cli.batch import batch
from rdpcodec.cli.coding import compress, decompress
from rdpcodec.cli.describing import info, models
from rdpcodec.cli.pages import compare, serve
from rdpcodec.cli.suggesting import suggest
from rdpcodec.errors import RdpError
from rdpcodec.training.commands import export, train


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="rdpcodec")
def rdpcodec() -> None:
    """Compress images with a learned codec.

    \b
    rdpcodec compress photo.png            # → photo.rdpc
    rdpcodec decompress photo.rdpc         # → photo.png
    rdpcodec suggest photo.png             # what a few qualities would give
    """


for _command in (compress, decompress, batch, suggest, compare, serve, info, models, train, export):
    rdpcodec.add_command(_command)


def main() -> None:
    """Run the command line; one line and exit status 1 for a user's mistake."""
    try:
        rdpcodec.main(standalone_mode=True)
    except RdpError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
