"""The operating point: where on the rate-distortion-perception surface an image is coded. Some are named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rdpcodec.errors import UsageError

AUTO: Literal["auto"] = "auto"
"""In place of a realism: the encoder chooses it for each image (`rdpcodec.encoder.auto_realism`)."""
Realism = float | Literal["auto"]
EFFORT_MAX = 9


@dataclass(frozen=True)
class OperatingPoint:
    """Quality 0..100 sets the rate; realism 0..1 how far decoding moves from closest to most natural, or
    "auto", as far as the image's detail asks for; effort 0..9 how long the encoder searches. Raises
    `UsageError` for values outside.
    """

    quality: float = 50.0
    realism: Realism = 0.0
    effort: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.realism, str) and self.realism != AUTO:
            raise UsageError(f"realism {self.realism!r} is neither a number nor {AUTO!r}")
        realism = 0.0 if self.realism == AUTO else self.realism
        for name, value, low, high in (
            ("quality", self.quality, 0, 100),
            ("realism", realism, 0, 1),
            ("effort", self.effort, 0, EFFORT_MAX),
        ):
            if not low <= value <= high:
                raise UsageError(f"{name} {value} is outside {low}..{high}")
        if self.effort != int(self.effort):
            raise UsageError(f"effort {self.effort} is not a whole number")

    def check_dials(self, model: str, dials: tuple[str, ...]) -> None:
        """Raise `UsageError` when the point turns a dial that the weights of `model` lack.

        Effort is no dial of the weights: every encoder can search. Without the realism dial "auto" is 0.
        """
        if self.realism not in (0, AUTO) and "realism" not in dials:
            raise UsageError(
                f"realism {self.realism}: the weights of model {model!r} have no realism dial "
                f"(they have: {', '.join(dials)}); leave it at 0"
            )


PRESETS = {
    "archive": OperatingPoint(90),  # images to keep
    "web": OperatingPoint(50),  # images on a page
    "thumbnail": OperatingPoint(30),  # small images that stand for larger ones
    "photo-real": OperatingPoint(20, realism=1),  # natural rather than exact, where bits are few
    "auto": OperatingPoint(50, realism=AUTO),  # realism as the image's detail asks for
}
"""What people ask for by name. README says what each gives on Kodak."""
