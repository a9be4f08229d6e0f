from __future__ import annotations

from pathlib import Path

import pytest

from rdpcodec.model.rate import LAMBDA_MIDDLE
from rdpcodec.quality import LAMBDA_MAX, LAMBDA_MIN
from rdpcodec.training.objectives.losses import LOSS_EXPONENT, LPIPS_UNIT, MSE_WEIGHT, WEAVE_WEIGHT
from rdpcodec.training.objectives.realism import RATE_EXPONENT
from rdpcodec.training.settings import FidelitySettings, RealismSettings

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
EYES, COARSE, TEXTURE = FidelitySettings.eyes, FidelitySettings.coarse, RealismSettings.texture


@pytest.mark.parametrize(
    "formula",
    [
        f"L = (λ / {LAMBDA_MIDDLE:g})^{LOSS_EXPONENT:g} · (bits per pixel + λ · 255² · D)",
        f"λ = {LAMBDA_MIN:g} · {LAMBDA_MAX / LAMBDA_MIN:g}^(quality / 100)",
        f"D = {1 - EYES - COARSE:g} · squared error + {EYES:g} · SSIMULACRA2* + {COARSE:g} · coarse*",
        f"D = ({1 - TEXTURE:g} · P + {TEXTURE:g} · texture* + {WEAVE_WEIGHT * MSE_WEIGHT:g} · weave)"
        f" / {LPIPS_UNIT:g}",
        f"P = {MSE_WEIGHT:g} · squared error + LPIPS-SqueezeNet",
        f"(λ / {LAMBDA_MIDDLE:g})^{RATE_EXPONENT:g} · D",
    ],
)
def test_the_page_has_the_constants_of_the_loss(formula: str) -> None:
    assert formula in PAGE
