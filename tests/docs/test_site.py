"""What `make docs` builds: no warnings, no dead links, nothing public left out."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config

import rdpcodec
from bench.__main__ import bench
from rdpcodec.cli import rdpcodec as program

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build(load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(folder)))  # a warning is an error
    return folder


def test_every_link_of_the_site_leads_to_one_of_its_files(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert site / "index.html" in pages
    dead = []
    for page in pages:
        for link in re.findall(r'(?:href|src)="([^"]+)"', page.read_text("utf-8")):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or not parts.path:
                continue
            start = site if parts.path.startswith("/") else page.parent
            target = start / unquote(parts.path).lstrip("/")
            if not (target / "index.html" if target.is_dir() else target).is_file():
                dead.append(f"{page.relative_to(site)}: {link}")
    assert not dead


def test_every_public_name_is_documented(site: Path) -> None:
    inventory = (site / "objects.inv").read_bytes()
    documented = zlib.decompress(inventory.split(b"\n", 4)[4]).decode()
    names = {line.split(" ")[0] for line in documented.splitlines()}
    assert {f"rdpcodec.{name}" for name in rdpcodec.__all__} <= names


def test_every_command_is_documented(site: Path) -> None:
    page = (site / "cli" / "index.html").read_text("utf-8")
    missing = [name for name in program.commands if f"<code>rdpcodec {name}" not in page]
    for group_name, group in bench.commands.items():
        names = group.list_commands(click.Context(group))
        missing += [name for name in names if f"<code>python -m bench {group_name} {name}" not in page]
    assert not missing
