"""What the adversary changes at realism 1: a table of the same files decoded with it, and without.

python table.py   (from the root of the repository)
"""

from __future__ import annotations

import json
from pathlib import Path

HERE = Path(__file__).parent
# Measure → its head, and the decimals of its column.
COLUMNS = {
    "psnr": ("PSNR, dB", 2),
    "ms_ssim": ("MS-SSIM", 3),
    "psnr_hvs_m": ("PSNR-HVS-M, dB", 1),
    "vif": ("VIF", 3),
    "ssimulacra2": ("SSIMULACRA2", 1),
    "butteraugli": ("Butteraugli", 2),
    "lpips_alex": ("LPIPS-AlexNet", 3),
    "kernel_held_out": ("kernel distance, held out", 4),
    "sliced_wasserstein": ("sliced Wasserstein", 1),
    "niqe": ("NIQE", 1),
    "brisque": ("BRISQUE", 1),
    "energy_1": ("energy of the finest band", 2),
    "energy_2": ("of the next", 2),
    "energy_3": ("of the third", 2),
}
QUALITIES = (5, 25, 45, 60, 75, 90)


def main() -> None:
    release, without = (
        json.loads((HERE / name).read_text(encoding="utf-8"))["points"] for name in ("with.json", "without.json")
    )
    names = [f"quality {quality}" for quality in QUALITIES]
    print("|", " | ".join(["measure", *names]), "|")
    print("|", " | ".join("---" for _ in range(len(names) + 1)), "|")
    for measure, (head, decimals) in COLUMNS.items():
        cells = []
        for quality in QUALITIES:
            end, plain, full = release[f"{quality}/0"], without[f"{quality}/1"], release[f"{quality}/1"]
            cells.append(" / ".join(f"{point[measure]:.{decimals}f}" for point in (end, plain, full)))
        print("|", " | ".join([head, *cells]), "|")


if __name__ == "__main__":
    main()
