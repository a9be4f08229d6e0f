"""Every code block of README, docs and docstrings runs, or is at least understood by the program it names.

A fenced block says what it is: `python` runs, `sh` is commands, `html` and `js` run in a browser, `text` is
only shown. An indented block is commands on a page and Python in a docstring. Each block runs by itself, in a
folder with the files that the texts mention. Commands that take long are parsed by their own parsers and go
no further.
"""

from __future__ import annotations

import ast
import glob
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import click
import pytest
from click.testing import CliRunner
from installed import weights_read_anew
from markdown_it import MarkdownIt
from packaging.requirements import Requirement
from PIL import Image

from bench.__main__ import bench
from rdpcodec.batch.left_out import LeftOut
from rdpcodec.batch.plan import Plan
from rdpcodec.cli import rdpcodec
from rdpcodec.encoder import refine
from rdpcodec.training.__main__ import train
from rdpcodec.training.export.context import Saved
from rdpcodec.training.speed.profile import Profile
from rdpcodec.web.runtime import VERSION

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("weights/*.md"))]
# tests/test_compressai_model.py runs its module's example, where CompressAI is installed.
MODULES = sorted(set(ROOT.glob("rdpcodec/**/*.py")) - {ROOT / "rdpcodec" / "compressai_model.py"})
# Folders and files that the texts mention.
FOLDERS = (
    *("kodak", "KODAK", "CLIC", "photos", "pictures", "IMAGES", "mnist", "cifar10"),
    *("decoded", "results", "results-before"),
    *("bench/results/surface/kodak", "bench/results/surface/clic2025-val"),
)
FILES = ("bench/results/kodak.json", "docs/papers.md", "docs/papers-trained.md", "RUN/checkpoint.pt")
# Commands that take long, the function that takes the time, and its stand-in result: all before it is run.
LONG: dict[tuple[str, ...], tuple[str, object]] = {
    ("train", "fidelity"): ("rdpcodec.training.launch.train", None),
    ("train", "realism"): ("rdpcodec.training.launch.train", None),
    ("train", "large"): ("rdpcodec.training.large.train.train_part", []),
    ("train", "profile"): (
        "rdpcodec.training.speed.profile.profile_steps",
        Profile("", {}, 1.0, 1.0, 1.0, 1.0),
    ),
    ("train", "split"): ("rdpcodec.training.checkpoints.pieces.split", []),
    ("train", "split", "RUN/checkpoint.pt"): ("rdpcodec.training.checkpoints.checkpoint.load_run", {}),
    # These would change the repository's own weights.
    ("train", "context"): ("rdpcodec.training.export.context.add_context", Saved(2, 1)),
    ("train", "graphs"): ("rdpcodec.training.export.graphs.add_graphs", []),
    ("train", "retire"): ("rdpcodec.training.export.retire.retire", ""),
    ("export",): ("rdpcodec.training.export.export.export", {}),
    ("serve",): ("uvicorn.Server.run", None),
    ("serve", "--onnxruntime-web"): ("rdpcodec.web.folder.site_files", {}),
    ("web",): ("rdpcodec.web.folder.write_folder", {}),
    ("batch", "s3://bucket/photos"): ("rdpcodec.batch.plan.plan", Plan([], LeftOut({}, ""))),
}
PROGRAMS = ("rdpcodec", "python", "make", "pip", "cat")


class Block(NamedTuple):
    """One code block: where it stands, and what it is."""

    page: str
    line: int
    kind: str
    text: str


def blocks_of(page: str, markdown: str, indented: str, first_line: int = 1) -> Iterator[Block]:
    for token in MarkdownIt("commonmark").parse(markdown):
        if token.type in ("fence", "code_block") and token.map is not None:
            fenced = token.type == "fence"
            line = first_line + token.map[0] + fenced
            yield Block(page, line, token.info.strip() if fenced else indented, token.content)


def docstring_blocks(module: Path) -> Iterator[Block]:
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            page, line = module.relative_to(ROOT).as_posix(), node.body[0].lineno
            yield from blocks_of(page, ast.get_docstring(node) or "", "python", line)


BLOCKS = [
    *(b for p in PAGES for b in blocks_of(p.relative_to(ROOT).as_posix(), p.read_text("utf-8"), "sh")),
    *(b for module in MODULES for b in docstring_blocks(module)),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photograph: Image.Image) -> None:
    """The current folder, with the files that the texts presume."""
    monkeypatch.chdir(tmp_path)
    for name in FOLDERS:
        Path(name).mkdir(parents=True)
    for name in FILES:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    Path("my-weights").symlink_to(ROOT / "weights")
    quick = photograph.resize((192, 164))  # large enough for MS-SSIM
    for name in ("photo.png", "photo.jpg", "photos/young.jpg"):
        quick.save(name)
    Path("list.txt").write_text("photos/young.jpg")


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.page}:{block.line}")
@pytest.mark.usefixtures("folder", "quick_avif")
def test_a_code_block_does_what_it_says(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    if block.kind == "python":
        # Empty lines before it give tracebacks the page's line numbers.
        code = compile("\n" * (block.line - 1) + block.text, block.page, "exec")
        exec(code, {"__name__": "__main__"})
    elif block.kind == "sh":
        for line in block.text.splitlines():
            run_line(line, monkeypatch)
    elif block.kind in ("html", "js"):
        assert block.page == "docs/web.md", "tests/web/test_browser.py runs that page's blocks"
    elif block.kind == "text":
        commands = [line for line in block.text.splitlines() if line.split(" ")[0] in PROGRAMS]
        assert not commands, f"a text block is only shown; make it sh, so that this runs: {commands[0]}"
    else:
        pytest.fail(f"a block of kind {block.kind!r} is not run: make it python, sh or text (only shown)")


def run_line(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run one line of commands: pipes, an output file, variables, globs and comments are understood."""
    lexer = shlex.shlex(line, posix=False, punctuation_chars="|>")
    lexer.whitespace_split = True
    words = list(lexer)
    output = words[words.index(">") + 1 :] if ">" in words else []
    words = words[: words.index(">")] if output else words
    piped = b""
    while words:
        stage = list(takewhile(lambda word: word != "|", words))
        words = words[len(stage) + 1 :]
        piped = run_command([part for word in stage for part in expanded(word)], piped, monkeypatch)
    for name in output:
        Path(name).write_bytes(piped)
    for name in re.findall(r"# → (\S+)", line):
        assert Path(name).is_file(), f"{line!r} made no {name}"


def expanded(word: str) -> list[str]:
    """What a shell makes of a word: quotes removed, globs replaced by the names they match."""
    if word[0] in "'\"":
        return [word[1:-1]]
    return sorted(glob.glob(word)) if "*" in word else [word]


def run_command(words: list[str], stdin: bytes, monkeypatch: pytest.MonkeyPatch) -> bytes:
    match words:
        case []:  # a comment
            return b""
        case [variable, *command] if re.match("[A-Z_]+=", variable):
            with monkeypatch.context() as patch, weights_read_anew():
                patch.setenv(*variable.split("=", 1))
                return run_command(command, stdin, monkeypatch)
        case ["rdpcodec", *arguments]:
            # A search takes a few steps here; real ones take minutes.
            monkeypatch.setattr(refine, "STEPS", range(10))
            for name, (long, result) in LONG.items():
                if tuple(arguments[: len(name)]) == name:
                    monkeypatch.setattr(long, lambda *_, result=result, **__: result)
            return invoke(rdpcodec, arguments, stdin)
        case ["python", "-m", "bench", *arguments]:
            parse(bench, arguments, monkeypatch)
            return b""
        case ["python", "-m", "rdpcodec.training", *arguments]:
            parse(train, arguments, monkeypatch)
            return b""
        case ["python", "-m", "http.server", *_]:  # serves until it is stopped
            return b""
        case ["npm", "pack", package]:
            assert package == f"onnxruntime-web@{VERSION}"
            return b""
        case ["make", *_]:  # -n: it is enough that the targets and what they depend on are known
            assert subprocess.run([*words, "-n"], cwd=ROOT, capture_output=True).returncode == 0, words
            return b""
        case ["pip", "install", *requirements]:
            options = {"--constraint", "--index-url"}
            for option, word in zip(["", *requirements], requirements, strict=False):
                if option == "--constraint":
                    assert (ROOT / word).is_file(), f"{word}: no such file"
                elif word not in options and option not in options:
                    check_requirement(word)
            return b""
        case ["cat", name]:
            return Path(name).read_bytes()
    pytest.fail(f"the tests cannot run {' '.join(words)!r}: teach run_command, or at least let it be parsed")


def invoke(program: click.Group, arguments: list[str], stdin: bytes = b"") -> bytes:
    run = CliRunner().invoke(program, arguments, input=stdin, catch_exceptions=False)
    assert run.exit_code == 0, run.output
    return run.stdout_bytes


def parse(program: click.Group, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Do all that a command does before its function is called."""
    with monkeypatch.context() as patch:
        patch.setattr(click.Command, "invoke", lambda *_: None)
        invoke(program, arguments)


def check_requirement(text: str) -> None:
    """Our own name and extras exist; any other package is one that pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    asked = {Requirement(r).name for group in (project["dependencies"], *extras.values()) for r in group}
    requirement = Requirement(re.sub(r"^\.", "rdpcodec", text))
    assert requirement.name in {"rdpcodec"} | asked, f"{text}: pyproject.toml knows no such package"
    assert requirement.extras <= extras.keys(), f"{text}: pyproject.toml has no such extra"


@pytest.mark.parametrize("name", sorted(rdpcodec.commands))
@pytest.mark.usefixtures("folder", "quick_avif")
def test_the_examples_in_a_commands_help_are_understood(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = re.findall(r"^rdpcodec (.*?)(?:[|<>#]|$)", rdpcodec.commands[name].help or "", re.MULTILINE)
    for example in examples:
        parse(rdpcodec, shlex.split(example), monkeypatch)


@pytest.mark.parametrize(("used", "extra"), [(r"import torch|_tensor\b", "torch"), ("from starlette", "web")])
def test_a_recipe_names_the_extra_that_it_needs(used: str, extra: str) -> None:
    for recipe in (ROOT / "docs" / "recipes.md").read_text("utf-8").split("\n## ")[1:]:
        code = "".join(block.text for block in blocks_of("docs/recipes.md", recipe, "sh"))
        if re.search(used, code):
            assert f"pip install '.[{extra}]'" in recipe, recipe.splitlines()[0]


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("bash", "rdpcodec models", "a block of kind 'bash' is not run"),
        ("", "rdpcodec models", "a block of kind '' is not run"),
        ("text", "rdpcodec models", "a text block is only shown"),
        ("sh", "rdpcodec models --colour", "No such option"),
        ("sh", "rdpcodec train fidelity --data images --out run --hours 1", "No such option"),
        ("sh", "python -m bench measure rd --date kodak", "No such option"),
        ("sh", "make coffee", "coffee"),
        ("sh", "pip install 'rdpcodec[coffee]'", "no such extra"),
        ("sh", "pip install coffee", "no such package"),
        ("sh", "rdpcodec models # → models.json", "made no models.json"),
        ("sh", "RDPCODEC_WEIGHTS=nowhere rdpcodec models", "nowhere"),
        ("sh", "curl example.org", "cannot run 'curl example.org'"),
        ("python", "import rdpcodec; rdpcodec.compress('absent.png')", "absent.png"),
    ],
)
@pytest.mark.usefixtures("folder", "quick_avif")
def test_a_block_that_does_not_do_what_it_says_is_found(
    kind: str, text: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises((Exception, pytest.fail.Exception), match=message):
        test_a_code_block_does_what_it_says(Block("page", 1, kind, text), monkeypatch)
