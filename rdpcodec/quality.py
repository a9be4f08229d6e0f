"""Quality → λ, what a file at that quality pays for a smaller error.

The quality setting runs from 0 (fewest bits) to 100. Equal steps of it multiply λ by equal factors.
"""

# CompressAI's ladder runs from λ = 0.0018 (0.12 bpp on Kodak) to 0.18 (1.6 bpp); our low end is 10 times
# lower.
LAMBDA_MIN = 0.00018
LAMBDA_MAX = 0.18


def lambda_at(quality: float) -> float:
    """λ of the loss λ·255²·MSE + bpp (MSE of pixels in [0, 1]) at a quality 0..100."""
    return float(LAMBDA_MIN * (LAMBDA_MAX / LAMBDA_MIN) ** (quality / 100))
