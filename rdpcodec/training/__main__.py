"""`python -m rdpcodec.training`: what `rdpcodec train` does, and `export`, `graphs` and `retire`."""

from __future__ import annotations

from rdpcodec.command_line import run
from rdpcodec.training.commands import export, graphs, retire, train

train.add_command(export)
train.add_command(graphs)
train.add_command(retire)

if __name__ == "__main__":
    run(train, "python -m rdpcodec.training")
