"""The command line, run in this process, programs run on a terminal, and ports for programs to meet at."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
from contextlib import suppress
from typing import Any

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


def on_terminal(words: list[str], **options: Any) -> tuple[int, str]:
    """Run a program with both outputs on a terminal; returns its exit status and all that it wrote there."""
    terminal, end = pty.openpty()
    process = subprocess.Popen(words, stdout=end, stderr=end, **options)
    os.close(end)
    parts = []
    with suppress(OSError):  # nobody is at the other end any more
        while part := os.read(terminal, 4096):
            parts.append(part)
    os.close(terminal)
    return process.wait(timeout=120), b"".join(parts).decode()


def free_port() -> int:
    """The number of a TCP port that nobody listens at."""
    with socket.create_server(("", 0)) as server:
        return int(server.getsockname()[1])
