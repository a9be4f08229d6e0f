"""What the allocator is told, tested in separate processes."""

from __future__ import annotations

import platform
import subprocess
import sys

FAULTS = """
import resource
from rdpcodec.training.speed.allocator import keep_all_memory
{}
faults = []
for _ in range(20):
    b"1" * 2**26  # 64 MiB, freed at once
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print(faults[-1] - faults[0])
"""


def page_faults(first: str) -> int:
    code = FAULTS.format(first)
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)


def test_memory_that_is_kept_is_not_cleared_again() -> None:
    asked = page_faults("keep_all_memory()")
    default = page_faults("")
    assert asked <= default
    if platform.libc_ver()[0] == "glibc":
        assert asked < default / 2
