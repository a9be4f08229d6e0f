"""A MkDocs hook: the site has the repository's layout, so links that work there work here.

README is the first page. What pages show or link to outside docs/ is part of the site.
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

SOURCES = (
    *("*.md", "CITATION.cff", "docs/**/*.md", "docs/images/*", "docs/*.css"),
    *("weights/*.md", "bench/results/**/*.*"),
)
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)#:]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Replace the files MkDocs found in docs/ with the sources, under their names in the repository."""
    for file in [file for file in files if file.src_dir == config.docs_dir]:
        files.remove(file)
    root = Path(config.config_file_path).parent
    for path in sorted(path for pattern in SOURCES for path in root.glob(pattern)):
        name = path.relative_to(root)
        file = File(name.as_posix(), str(root), config.site_dir, use_directory_urls=True)
        if path.suffix == ".md":
            address = name.with_suffix("").as_posix().lower().removeprefix("docs/").replace("_", "-")
            file.dest_uri = "index.html" if address == "readme" else f"{address}/index.html"
        files.append(file)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Reduce links to folders to their text: GitHub lists folders, a site does not."""
    assert page.file.abs_src_path is not None
    folder = Path(page.file.abs_src_path).parent

    def without_folder(link: re.Match[str]) -> str:
        return link[1] if (folder / link[2]).is_dir() else link[0]

    return _LINK.sub(without_folder, markdown)
