"""A batch from Python: what a run tells of its images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from batch_tasks import tasks_for

from rdpcodec.batch.plan import plan
from rdpcodec.batch.run import RunOptions, begun
from rdpcodec.batch.work import Compression
from rdpcodec.errors import UsageError


def test_a_run_tells_what_is_done_and_what_is_left(folder: Path, tmp_path: Path) -> None:
    work, out = Compression(), tmp_path / "out"
    tasks = tasks_for([folder / "a.png", folder / "b.JPG"], out, work)
    with begun(tasks[:1], work, str(out), RunOptions(workers=1)) as run:
        assert (run.total, run.present) == (1, 0)
        assert [outcome.error for outcome in run] == [None]
    options = RunOptions(workers=1, resume=True, manifest=tmp_path / "m.jsonl")
    with begun(tasks, work, str(out), options) as run:
        assert (run.total, run.present) == (1, 1)
        assert [outcome.output for outcome in run] == [tasks[1].output]
    assert len((tmp_path / "m.jsonl").read_text().splitlines()) == 2
    with begun(tasks, work, str(out), RunOptions(workers=1)) as run:
        assert (run.total, run.present) == (2, 0)
        assert all("already exists" in str(outcome.error) for outcome in run)


def test_names_may_be_text_or_paths(folder: Path, tmp_path: Path) -> None:
    work, manifest = Compression(), tmp_path / "m.jsonl"
    for kind in (str, Path):
        out = kind(tmp_path / kind.__name__)
        found = plan(
            [kind(folder)], out, extensions=work.extensions(), suffix=work.suffix, manifest=kind(manifest)
        )
        options = RunOptions(workers=1, manifest=kind(manifest))
        with begun(found.tasks[:1], work, out, options) as run:
            assert [outcome.error for outcome in run] == [None]
    assert len(manifest.read_text().splitlines()) == 2
    for one in (str(folder), folder):
        with pytest.raises(UsageError, match="give a list, such as"):
            plan(one, tmp_path, extensions=work.extensions(), suffix=work.suffix)  # type: ignore[arg-type]


def test_a_run_that_is_left_early_works_no_further(folder: Path, tmp_path: Path) -> None:
    tasks = tasks_for([folder / "a.png"], out := tmp_path / "out", Compression())
    with begun(tasks, Compression(), str(out), RunOptions(workers=1)):
        pass
    assert not list(out.rglob("*.rdpc"))


@pytest.mark.parametrize(
    "options",
    [
        {"engine": "steam"},
        {"resume": True, "force": True},
        *({"workers": workers} for workers in (0, -1, 1.5, True, "2")),
    ],
)
def test_options_that_cannot_be_had_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        RunOptions(**options)
