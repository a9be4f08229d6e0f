"""A command line run from start to end: every mistake is one line, with a status that says whose it was."""

from __future__ import annotations

import codecs
import gc
import io
import sys
from typing import NoReturn

import click

from rdpcodec.errors import RdpError, UsageError, reason

_INTERRUPTED = 130  # as shells have it: 128 + SIGINT
_SIGNS = {"→": "->", "×": "x", "…": "...", "−": "-", "±": "+-"}


def run(command: click.Command, name: str | None = None) -> None:
    """Run a command line, called `name`: one line for a user's mistake, and status 2 where it is in the
    command itself, 1 where a file or an image is at fault.
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
        _fail("interrupted", _INTERRUPTED)
    except RdpError as error:
        _fail(str(error), 2 if isinstance(error, UsageError) else 1)
    except OSError as error:  # of a full disk behind standard output; a pipe that was closed is click's
        _fail(f"{error.filename or 'standard output'}: {reason(error)}", 1)
    else:
        sys.exit(status if isinstance(status, int) else 0)
    finally:
        gc.freeze()  # the process ends, and so need not look for cycles: a twelfth of a cold decompress


def _fail(message: str, status: int, hint: str = "") -> NoReturn:
    click.echo(f"error: {' '.join(message.split())}{hint}", err=True)
    sys.exit(status)


def _help_of(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"; see {context.command_path} --help" if context else ""


def _print_anything() -> None:
    """Have terminals that lack a sign show something like it, or its number, in place of an error."""
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
