"""Rates against those of other weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from small_model import GATED

from rdpcodec.model.rdp_model import RdpModel
from rdpcodec.training.large.judging import Curve, NotWorthIt, Verdict, curve, verdict

RATE = np.log([0.1, 0.2, 0.4, 0.8, 1.6])
MERIT = np.array([26.0, 29.0, 32.0, 35.0, 38.0])


def test_rates_are_compared_at_equal_merit() -> None:
    found = verdict(Curve(RATE + math.log(0.9), MERIT, MERIT - 3), Curve(RATE, MERIT, MERIT))
    assert found.psnr == pytest.approx(0.9)
    assert found.ssimulacra2 == pytest.approx(1.8)  # 3 dB are a doubling here
    assert found.overall == pytest.approx((0.9 * 1.8) ** 0.5)


def test_curves_with_nothing_in_common_are_no_success() -> None:
    found = verdict(Curve(RATE, MERIT - 40, MERIT), Curve(RATE, MERIT, MERIT))
    assert found.psnr == math.inf
    with pytest.raises(NotWorthIt):
        found.check(0.9)


def test_a_verdict_is_said_in_figures() -> None:
    Verdict(0.9, 0.8).check(0.85)
    with pytest.raises(NotWorthIt, match=r"0\.849 of the other weights' bits are needed, and 0\.840 were"):
        Verdict(0.9, 0.8).check(0.84)


def test_a_model_is_as_good_as_itself() -> None:
    torch.manual_seed(0)
    model, crops = RdpModel(GATED).eval(), torch.rand(2, 3, 64, 64)
    found = curve(model, crops)
    assert found.log_rate.shape == found.psnr.shape == found.ssimulacra2.shape == (5,)
    sound = found._replace(psnr=MERIT, ssimulacra2=MERIT)
    assert verdict(sound, sound) == pytest.approx((1.0, 1.0))
