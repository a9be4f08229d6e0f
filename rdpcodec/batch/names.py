"""How outputs are named: the rule that `rdpcodec compress`, `decompress` and `batch` share.

An output has the name of its source. The extension of a format is replaced: "a.jpg" gives "a.rdpc", but
"Shot at 12.30.45" gives "Shot at 12.30.45.rdpc". Sources of one run that would share an output keep their
extensions, as does one whose output is then taken: "a.jpg", "a.png" and "a.jpg.png" give "a.jpg.rdpc",
"a.png.rdpc" and "a.jpg.png.rdpc".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import TypeVar

from rdpcodec.errors import UsageError

AnyPath = TypeVar("AnyPath", bound=PurePath)


def output_names(
    sources: Sequence[AnyPath],
    suffix: str,
    exchanged: Callable[[str], bool],
    named: Sequence[object],
) -> list[AnyPath]:
    """The outputs of different sources, in the same places.

    suffix: that of the outputs, such as ".rdpc"; exchanged: whether it replaces an extension, in lower case;
    named: where the sources really are, one each, since they may lie elsewhere than their outputs.
    Raises `UsageError` if two sources have one name in one place.
    """
    outputs = [_renamed(source, suffix, exchanged) for source in sources]
    whole = [source.with_name(source.name + suffix) for source in sources]
    before: list[AnyPath] = []
    while outputs != before:  # a name that keeps its extension may be that of another output
        before, shared = outputs, Counter(outputs)
        outputs = [
            longer if shared[output] > 1 else output for longer, output in zip(whole, outputs, strict=True)
        ]
    origins: dict[AnyPath, object] = {}
    for source, output in zip(named, outputs, strict=True):
        if origins.get(output) == source:
            raise UsageError(f"{source}: is given twice: leave one out")
        if output in origins:
            raise UsageError(
                f"{output} would be written twice, from {origins[output]} and {source}: rename one, or keep "
                "their folders with one glob for both, as in rdpcodec batch 'cam*/*.png' OUT"
            )
        origins[output] = source
    return outputs


def _renamed(source: AnyPath, suffix: str, exchanged: Callable[[str], bool]) -> AnyPath:
    stem = source.stem if exchanged(source.suffix.lower()) else source.name
    return source.with_name(stem + suffix)
