"""`python -m rdpcodec.training fidelity|realism|export`."""

from __future__ import annotations

import sys

import click

from rdpcodec.errors import RdpError
from rdpcodec.training.commands import export, train

train.add_command(export)

if __name__ == "__main__":
    try:
        train(prog_name="python -m rdpcodec.training")
    except RdpError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
