"""`python -m rdpcodec.training fidelity|realism|export|graphs|retire`."""

from __future__ import annotations

import sys

import click

from rdpcodec.errors import RdpError
from rdpcodec.training.commands import export, graphs, retire, train

train.add_command(export)
train.add_command(graphs)
train.add_command(retire)

if __name__ == "__main__":
    try:
        train(prog_name="python -m rdpcodec.training")
    except RdpError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
