"""`rdpcodec serve`: the address it prints, and its errors for what is missing."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
from click.testing import CliRunner
from uvicorn import Server

from rdpcodec import UsageError
from rdpcodec.cli import rdpcodec as command


def test_the_server_answers_and_stops_at_control_c() -> None:
    words = [sys.executable, "-m", "rdpcodec", "serve", "--port", "0"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    url = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
    assert url
    with urllib.request.urlopen(url[0], timeout=60) as answer:
        assert b"<title>rdpcodec</title>" in answer.read()
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, errors) == (0, "stopped\n", "")


def test_the_address_can_be_had_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    ports: list[int] = []

    def run(self: Server, sockets: list[socket.socket]) -> None:
        ports.append(sockets[0].getsockname()[1])

    monkeypatch.setattr(Server, "run", run)
    result = CliRunner().invoke(command, ["serve", "--port", "0", "--json"], catch_exceptions=False)
    assert json.loads(result.stdout) == {"url": f"http://127.0.0.1:{ports[0]}/", "model": "fast"}


@pytest.mark.parametrize("package", ["starlette", "uvicorn"])
def test_a_missing_extra_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "rdpcodec.pages.serve", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    result = CliRunner().invoke(command, ["serve"])
    assert isinstance(result.exception, UsageError)
    assert str(result.exception) == (
        f"serve needs {package}, which is not installed: pip install 'rdpcodec[web]'"
    )


def test_a_port_that_is_taken_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(command, ["serve", "--port", str(port)])
    assert isinstance(result.exception, UsageError)
    assert f"127.0.0.1:{port}: cannot listen there: Address already in use" in str(result.exception)


@pytest.mark.parametrize("name", ["serve", "compare"])
def test_help_needs_neither_torch_nor_the_framework(name: str) -> None:
    script = (
        "import sys, rdpcodec.cli\n"
        "try: rdpcodec.cli.main()\n"
        "finally: assert not {'torch', 'numpy', 'starlette', 'uvicorn', 'asyncio'} & set(sys.modules)"
    )
    words = [sys.executable, "-c", script, name, "--help"]
    assert subprocess.run(words, capture_output=True, timeout=60).returncode == 0


def test_a_host_that_cannot_be_is_an_error() -> None:
    result = CliRunner().invoke(command, ["serve", "--host", "a..b"])
    assert isinstance(result.exception, UsageError)
    assert "a..b:8765: cannot listen there" in str(result.exception)
