"""A MkDocs hook: `<!-- help PROGRAM -->` on a page becomes the help of all the program's commands.

The text is what the program prints.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
from click.testing import CliRunner
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

from bench.__main__ import bench
from rdpcodec.cli import rdpcodec

PROGRAMS = {"rdpcodec": rdpcodec, "python -m bench": bench}
_MARK = re.compile(r"<!-- help (.*) -->")


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Replace each mark with the help."""
    return _MARK.sub(lambda mark: "\n\n".join(_sections(mark[1])), markdown)


def _sections(program: str) -> Iterator[str]:
    """A heading and the help for every command that is not a group."""
    for words in _commands(PROGRAMS[program], ()):
        arguments = [*words, "--help"]
        run = CliRunner(env={"COLUMNS": "100"}).invoke(PROGRAMS[program], arguments, program)
        if run.exit_code:
            raise RuntimeError(f"{program} {' '.join(arguments)} failed: {run.output}") from run.exception
        yield f"### `{' '.join((program, *words))}`\n\n```text\n{run.output.strip()}\n```"


def _commands(command: click.Command, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            member = command.get_command(context, name)
            assert member is not None
            yield from _commands(member, (*words, name))
    else:
        yield words
