"""What a run does not take from folders and globs, and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from rdpcodec.file_type import EXTENSION

HIDDEN, FOLDER, PLAIN, SPECIAL = "hidden", "folder", "without extension", "pipe or device"
LINKED, BROKEN, CLOSED = "linked folder", "broken link", "unreadable folder"
_COUNTED = (FOLDER, LINKED, BROKEN)
_RAW = ("3fr", "arw", "cr2", "cr3", "dng", "erf", "nef", "nrw", "orf", "pef", "raf", "rw2", "srw")
_NOT_READ = "not a format that Pillow reads here"
_PLUGIN = "pip install 'rdpcodec[formats]'"
_OF_ANY_RUN = {
    FOLDER: "--recursive takes them",
    SPECIAL: "read where it is named",
    LINKED: "links are not followed to folders: name it",
    BROKEN: "it leads nowhere",
}
_REASONS = {
    **_OF_ANY_RUN,
    EXTENSION: "coded already",
    **dict.fromkeys((".heic", ".heif", ".hif"), _PLUGIN),
    ".jxl": _PLUGIN,
    **{f".{raw}": "camera raw: develop it to TIFF or JPEG" for raw in _RAW},
}


@dataclass
class LeftOut:
    """What a run does not take from folders and globs: counted by extension, or as hidden or folders."""

    reasons: dict[str, str]
    otherwise: str  # the reason for all other extensions
    counts: Counter[str] = field(default_factory=Counter)
    closed: list[str] = field(default_factory=list)  # folders that may not be read

    @property
    def missed(self) -> int:
        """How many a caller may miss: all but hidden ones, and files that are already coded."""
        return sum(count for kind, count in self.counts.items() if kind not in (HIDDEN, EXTENSION))

    def __str__(self) -> str:
        """How many of each kind, and why or what to do, in words."""
        kinds = sorted(self.counts.items())
        return ", ".join(
            f"{count} {kind}{'s' * (kind in _COUNTED and count > 1)}"
            + ("" if kind == HIDDEN else f" ({self.reasons.get(kind.lower(), self.otherwise)})")
            for kind, count in kinds
        )

    @classmethod
    def of_run(cls, *, coded: bool) -> LeftOut:
        """Nothing so far. coded: whether the run takes .rdpc files, rather than images."""
        return cls(_OF_ANY_RUN, f"not {EXTENSION}") if coded else cls(_REASONS, _NOT_READ)
