"""Tunes the C library's memory allocator for programs that work on large tensors all the time."""

from __future__ import annotations

import ctypes

# From glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4


def keep_all_memory() -> None:
    """Let this process keep the memory that it frees; does nothing without glibc.

    By default glibc takes every large block from the system and gives it back at once, and the system clears
    each page again. That takes half of the time of LPIPS on an image of 3 megapixels, and 9 % of a training
    step. Only for our own programs: a library should leave its host's allocator alone.
    """
    try:
        tell = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    tell(_MMAP_MAX, 0)
    tell(_TRIM_THRESHOLD, 2**31 - 1)
    tell(_TOP_PAD, 2**26)
