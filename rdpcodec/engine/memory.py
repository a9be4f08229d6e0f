"""How this process treats memory that arrays have given back: it keeps some, and does not ask for it anew."""

from __future__ import annotations

from functools import cache

import numpy as np

# glibc takes blocks from its own store up to the size of the largest that was ever freed, and keeps twice as
# much. It looks at none of over 32 MiB.
_LARGEST = 32_000_000


@cache
def keep_freed_memory() -> None:
    """Let arrays of up to 32 MB reuse memory that others have freed, up to 64 MB of it.

    By default glibc returns it, and every decoding begins with new pages that the system has to clear: of
    768×512 pixels 1900, 5 % of its processor time. A block that is freed untouched says so at no cost.
    Settings of the user's own, such as `MALLOC_TRIM_THRESHOLD_`, prevail; other C libraries do as they do.
    """
    np.empty(_LARGEST, np.uint8)
