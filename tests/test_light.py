"""The light installation, without torch: everything that needs neither gradients nor a GPU works, and the
rest says what to install.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

WHOLE_ONLY = ("torch", "onnx", "lpips", "pytorch_msssim", "scipy", "matplotlib", "skimage")
MAIN = "import rdpcodec.cli; rdpcodec.cli.main()"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, photograph: Image.Image) -> Path:
    """A folder with a photograph, and a folder `site` that hides torch from processes with it on the path."""
    folder = tmp_path_factory.mktemp("light")
    (folder / "site").mkdir()
    block = f"import sys\nsys.modules.update(dict.fromkeys({WHOLE_ONLY!r}))\n"
    (folder / "site" / "sitecustomize.py").write_text(block)
    photograph.resize((300, 200)).save(folder / "photo.png")
    return folder


def python(folder: Path, code: str, *words: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[1]
    path = os.pathsep.join([str(folder / "site"), str(root), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )


def rdpcodec(folder: Path, *words: str) -> str:
    run = python(folder, MAIN, *words)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_torch_is_out_of_reach_here(folder: Path) -> None:
    assert "ModuleNotFoundError" in python(folder, "import torch").stderr


def test_images_are_coded(folder: Path) -> None:
    """With every way to choose the operating point, in one process."""
    ways = [
        ("-q", "30", "--realism", "0.5"),
        ("--realism", "auto"),
        ("--target-psnr", "30"),
        ("--target-ms-ssim", "0.95"),
        ("--target-ssimulacra2", "60"),
        ("--target-size", "6kB"),
    ]
    commands = [
        words
        for number, options in enumerate(ways)
        for words in (
            ["compress", "photo.png", f"{number}.rdpc", *options],
            ["decompress", f"{number}.rdpc", f"all-{number}.png", "--realism", "1"],
            ["decompress", f"{number}.rdpc", f"part-{number}.png", "--region", "10,20,30,40"],
            ["info", f"{number}.rdpc"],
        )
    ]
    run_all = f"for words in {commands}: rdpcodec(words, standalone_mode=False)"
    run = python(folder, f"from rdpcodec.cli import rdpcodec\n{run_all}")
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("300×200") >= len(ways)
    for number in range(len(ways)):
        assert Image.open(folder / f"all-{number}.png").size == (300, 200)
        assert Image.open(folder / f"part-{number}.png").size == (30, 40)


def test_suggest_measures_all_but_lpips(folder: Path) -> None:
    run = python(folder, MAIN, "suggest", "photo.png", "--json")
    points = json.loads(run.stdout)["points"]
    assert {point["lpips"] for point in points} == {None}
    for name in ("psnr", "ms_ssim", "ssimulacra2"):
        values = [point[name] for point in points if point["realism"] == 0]
        assert all(worse < better for worse, better in pairwise(values)), name
    assert "LPIPS needs torch: pip install 'rdpcodec[lpips]'" in run.stderr


def test_batches_are_worked_through(folder: Path) -> None:
    rdpcodec(folder, "batch", "photo.png", "out", "--force", "--workers", "2")
    rdpcodec(folder, "batch", "out", "back", "--decompress", "--force")
    assert Image.open(folder / "back" / "photo.png").size == (300, 200)


def test_pillow_opens_and_saves(folder: Path) -> None:
    code = """
import rdpcodec.pillow_plugin
from PIL import Image
Image.open("photo.png").save("plugin.rdpc", quality=20)
assert Image.open("plugin.rdpc").convert("RGB").size == (300, 200)
"""
    run = python(folder, code)
    assert run.returncode == 0, run.stderr


def test_pages_are_served(folder: Path) -> None:
    code = """
from pathlib import Path
from rdpcodec import Codec
from rdpcodec.pages.serve import ImageServer, Limits, Settings
server = ImageServer(Codec(), Limits(10**7, 10**7), decodes=False)
name = server.hold(Path("photo.png").read_bytes())["id"]
assert server.loaded[name].decoded(Settings(40, 0.5)).size == (300, 200)
"""
    run = python(folder, code)
    assert run.returncode == 0, run.stderr


NEED_TORCH = {
    "compress photo.png never.rdpc --effort 3": "effort 1 to 9 needs torch: pip install 'rdpcodec[torch]'",
    "batch photo.png never --effort 3": "error: effort 1 to 9 needs torch: pip install 'rdpcodec[torch]'",
    "compress photo.png never.rdpc --device cuda": "'cuda' needs torch: pip install 'rdpcodec[torch]'",
    "compress photo.png never.rdpc --target-lpips 0.1": "LPIPS needs torch: pip install 'rdpcodec[lpips]'",
    "train fidelity --data . --out run": "training needs torch: pip install 'rdpcodec[torch]'",
    "export photo.png . --data .": "export needs torch: pip install 'rdpcodec[torch]'",
}


def test_what_needs_torch_says_how_to_install_it(folder: Path) -> None:
    code = f"""
import sys
import rdpcodec.cli
for words in {list(NEED_TORCH)}:
    sys.argv[1:] = words.split()
    try:
        rdpcodec.cli.main()
    except SystemExit as error:
        assert error.code, words
    print("end of command", file=sys.stderr)
"""
    run = python(folder, code)
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stderr
    for said, message in zip(run.stderr.split("end of command\n"), NEED_TORCH.values(), strict=False):
        assert message in said
    assert run.stderr.count("end of command\n") == len(NEED_TORCH)
    assert not (folder / "never.rdpc").exists()
