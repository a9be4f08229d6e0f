"""What is installed with the repository: released weights, and the photograph of its pages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rdpcodec import codec as codec_module
from rdpcodec.weights import manifest as weights

PHOTOGRAPH = Path(__file__).parent.parent / "docs" / "demo" / "coffee.png"


@contextmanager
def weights_read_anew() -> Iterator[None]:
    """As in a process of its own: without what was loaded before, and nothing is left behind."""
    caches = (weights.manifest, codec_module.loaded_codec)
    try:
        for cache in caches:
            cache.cache_clear()
        yield
    finally:
        for cache in caches:
            cache.cache_clear()
