"""`rdpcodec train` and `rdpcodec export`: the training modules' own command lines under one name.

The modules parse their arguments themselves, because they also run where click is not installed.
"""

from __future__ import annotations

import click

_PASSED_ON = {"ignore_unknown_options": True, "help_option_names": []}
_arguments = click.argument("arguments", nargs=-1, type=click.UNPROCESSED)


@click.group()
def train() -> None:
    """Train weights on a folder of images."""


@train.command(context_settings=_PASSED_ON, add_help_option=False)
@_arguments
def fidelity(arguments: tuple[str, ...]) -> None:
    """Rate and squared error, all qualities at once."""
    from rdpcodec.training.fidelity import main

    main(list(arguments), prog="rdpcodec train fidelity")


@train.command(context_settings=_PASSED_ON, add_help_option=False)
@_arguments
def realism(arguments: tuple[str, ...]) -> None:
    """A second synthesis, for realism, on a frozen encoder."""
    from rdpcodec.training.realism import main

    main(list(arguments), prog="rdpcodec train realism")


@click.command(context_settings=_PASSED_ON, add_help_option=False)
@_arguments
def export(arguments: tuple[str, ...]) -> None:
    """Make released weights of a training run."""
    from rdpcodec.training.export import main

    main(list(arguments), prog="rdpcodec export")
