from __future__ import annotations

from pathlib import Path

from rdpcodec.training.markdown import replace_block


def test_a_block_is_replaced_and_what_is_around_it_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n\n<!-- a -->\nold\n<!-- end -->\n\nafter\n")
    replace_block(page, "a", r"new \1")
    assert page.read_text() == "before\n\n<!-- a -->\nnew \\1\n<!-- end -->\n\nafter\n"


def test_a_block_that_is_missing_is_appended_and_a_missing_file_begun(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    replace_block(page, "a", "one")
    assert page.read_text() == "<!-- a -->\none\n<!-- end -->\n"
    replace_block(page, "b", "two")
    assert page.read_text() == "<!-- a -->\none\n<!-- end -->\n\n<!-- b -->\ntwo\n<!-- end -->\n"
