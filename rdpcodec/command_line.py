"""Runs a command line: every error is one line, and the exit status says whose mistake it was."""

from __future__ import annotations

import codecs
import errno
import gc
import io
import os
import sys
from typing import NoReturn

import click

from rdpcodec.errors import RdpError, UsageError, one_line, reason

INTERRUPTED = 130
"""The exit status of a command that Ctrl-C ended, as in shells: 128 + SIGINT."""
# Too many open files, processes or bytes in memory. Standard output has no part in these.
_OF_THE_SYSTEM = (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM)
_SIGNS = {"→": "->", "×": "x", "…": "...", "−": "-", "±": "+-"}


def run(command: click.Command, name: str | None = None) -> None:
    """Run a command line under the name `name`. A user's mistake gives one line, and status 2 if it is in
    the command itself, 1 if a file or an image is at fault.
    """
    _print_anything()
    try:
        status = command.main(prog_name=name, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        _fail(error.format_message().rstrip("."), error.exit_code, _help_of(error))
    except click.Abort:
        _fail("interrupted", INTERRUPTED)
    except RdpError as error:
        _fail(str(error), 2 if isinstance(error, UsageError) else 1)
    except OSError as error:  # such as a full disk behind standard output; click handles a closed pipe
        _fail(f"{_place_of(error)}: {reason(error)}", 1)
    else:
        sys.exit(status if isinstance(status, int) else 0)
    finally:
        gc.freeze()  # saves a last search for cycles: a twelfth of a cold decompress


def _fail(message: str, status: int, hint: str = "") -> NoReturn:
    click.echo(f"error: {one_line(message)}{hint}", err=True)
    sys.exit(status)


def _place_of(error: OSError) -> str:
    """Where an error of the system came about, in words."""
    if error.filename:
        return str(error.filename)
    try:
        os.getcwd()
    except OSError:
        return "the current folder"
    return "the system" if error.errno in _OF_THE_SYSTEM else "standard output"


def _help_of(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"; see {context.command_path} --help" if context else ""


def _print_anything() -> None:
    """Let terminals that lack a sign print a similar one, or its number, instead of failing."""
    codecs.register_error("rdpcodec", _like)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="rdpcodec")


def _like(error: UnicodeError) -> tuple[str | bytes, int]:
    """An error handler: see `codecs.register_error`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    sign = error.object[error.start]
    if sign in _SIGNS:
        return _SIGNS[sign], error.start + 1
    return codecs.backslashreplace_errors(error)
