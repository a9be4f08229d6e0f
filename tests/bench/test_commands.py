from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from PIL import Image

from bench.__main__ import LazyGroup, bench
from rdpcodec.errors import UsageError

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


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: Image.Image) -> Path:
    """The current folder, with a folder of one image and one of an image of 16 bits, and files of others."""
    monkeypatch.chdir(tmp_path)
    for name in ("images", "deep"):
        (tmp_path / name).mkdir()
    small.save(tmp_path / "images" / "a.png")
    small.convert("I;16").save(tmp_path / "deep" / "a.png")
    (tmp_path / "record.json").write_text("{}")
    (tmp_path / "text.png").write_text("not an image")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("measure effort --data images --qualities 10,x", "'10,x': give numbers with commas"),
        ("measure effort --data images --qualities 50,50", "give 2 different numbers or more"),
        ("measure effort --data images --qualities 50,101", "101 is outside 0..100"),
        ("measure auto-realism --data images --qualities nan", "nan is outside 0..100"),
        ("measure auto-realism --data images --lpips-weights images", "LPIPS-alex"),
        ("measure surface --data images --out out --qualities 50", "give 2 different numbers or more"),
        ("measure surface --data images --out out --realisms 0,2", "2 is outside 0..1"),
        ("measure surface --data images --out out --workers 0", "--workers"),
        ("measure surface --data images --out out --device drum", "'drum' cannot be used"),
        ("measure peers --data images --out out --device drum --codecs jpeg", "'drum' cannot be used"),
        ("measure peers --data images --out out --codecs gif", "unknown codec 'gif'"),
        ("measure peers --data images --out out --codecs jpeg --smallest 1", "--smallest"),
        ("measure rd --data images --codecs gif", "unknown codec 'gif'"),
        ("measure rd --data deep --codecs jpeg", "deep/a.png: its pixels have more than 8 bits"),
        (
            "measure rd --data images --codecs jpeg --out text.png/rd.json",
            "text.png/rd.json: cannot be written",
        ),
        ("measure speed --data images --repeats 0", "--repeats"),
        ("measure drawn --workers 0", "--workers"),
        ("measure distance --data images --decoded images --device drum", "'drum' cannot be used"),
        ("measure start text.png --python no-such-python", "no-such-python: cannot be run"),
        ("measure start text.png --runs 1", "text.png: not an image"),
        ("measure start text.png --seconds 0", "--seconds"),
        ("measure browser images text.png --browser text.png", "text.png: cannot identify"),
        ("report publish text.png", "text.png: no JSON"),
        ("report publish record.json", "record.json: not a result of `python -m bench measure rd`"),
        ("papers digits --device drum", "'drum' cannot be used"),
        # This one is found by a worker process.
        ("measure engines --data images --quality 500 --repeats 1", "quality 500.0 is outside 0..100"),
    ],
)
def test_a_users_mistake_is_told_in_one_line(words: str, message: str, place: Path) -> None:
    result = CliRunner().invoke(bench, words.split())
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in (1, 2)
    assert result.stderr.count("Error: ") == 1
    assert message in result.stderr.splitlines()[-1]


def test_an_error_of_several_lines_is_put_into_one(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def failing() -> None:
        raise UsageError("butteraugli_main: failed:\n  out of memory\n")

    monkeypatch.setattr("bench.report.gate.gate", failing)
    result = CliRunner().invoke(bench, ["report", "gate"])
    assert (result.exit_code, result.stderr) == (1, "Error: butteraugli_main: failed: out of memory\n")
