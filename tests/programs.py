"""The command line, run in this process."""

from __future__ import annotations

from click.testing import CliRunner, Result

from rdpcodec.cli import rdpcodec as command
from rdpcodec.errors import RdpError


def run(*arguments: object, stdin: bytes | None = None) -> Result:
    """Run a command in this process; an error of ours is shown as `main` shows it."""
    result = CliRunner().invoke(command, [str(a) for a in arguments], input=stdin)
    if isinstance(result.exception, RdpError):
        result.stderr_bytes = (result.stderr_bytes or b"") + f"error: {result.exception}\n".encode()
    elif result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result
