from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from bench.__main__ import LazyGroup, bench

GROUPS = {name: group for name, group in bench.commands.items() if isinstance(group, LazyGroup)}


@pytest.mark.parametrize("words", [[], *([name] for name in GROUPS)])
def test_help_imports_no_torch(words: list[str]) -> None:
    code = (
        "import sys\nfrom bench.__main__ import bench\n"
        f"bench({[*words, '--help']!r}, standalone_mode=False)\nassert 'torch' not in sys.modules"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "Commands:" in run.stdout


def test_every_command_is_found_and_says_what_it_does() -> None:
    assert GROUPS.keys() == bench.commands.keys() == {"measure", "report", "papers"}
    for group_name, group in GROUPS.items():
        listed = CliRunner().invoke(bench, [group_name, "--help"]).output
        for name in group.list_commands(click.Context(group)):
            assert name in listed
            assert CliRunner().invoke(bench, [group_name, name, "--help"]).exit_code == 0


def test_an_unknown_command_is_refused() -> None:
    result = CliRunner().invoke(bench, ["measure", "compare"])
    assert result.exit_code == 2
    assert "No such command 'compare'" in result.output
