"""`python -m rdpcodec.training`: the commands of `rdpcodec train`, and `export`."""

from __future__ import annotations

from rdpcodec.command_line import run
from rdpcodec.training.commands import export, train

train.add_command(export)

if __name__ == "__main__":
    run(train, "python -m rdpcodec.training")
