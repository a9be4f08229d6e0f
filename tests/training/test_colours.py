from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from rdpcodec.training.colours import DEEPEST_LIGHT, LUMA, MOST_SATURATION, colour_matrices, recoloured
from rdpcodec.training.fidelity import Fidelity
from rdpcodec.training.recipes import FidelityRun


def crops(count: int) -> Tensor:
    values = torch.randint(256, (count, 3, 8, 8), generator=torch.Generator().manual_seed(1))
    return values.float() / 255


def test_a_change_is_of_light_saturation_and_order() -> None:
    matrices = colour_matrices(500, torch.Generator().manual_seed(2))
    white = matrices.sum(2)  # what becomes of it: the light of each channel
    assert torch.allclose(white.amax(1), torch.ones(500))
    darkest = torch.exp(torch.tensor(-DEEPEST_LIGHT))
    assert darkest < white.min() < darkest + 0.05
    # Without the light, each row is a channel moved away from luma, or towards it.
    found = matrices / white[:, :, None] - torch.tensor(LUMA)
    rows = torch.eye(3) - torch.tensor(LUMA)
    saturation = found.norm(dim=2) / rows.norm(dim=1)[(found @ rows.T).argmax(2)]
    assert torch.allclose(saturation, saturation[:, :1].expand(-1, 3), atol=1e-4)
    assert 0 <= saturation.min() < 0.05
    assert MOST_SATURATION - 0.05 < saturation.max() <= MOST_SATURATION + 1e-4
    in_order = ((found @ rows.T).argmax(2) == torch.arange(3)).all(1)
    assert 0.45 < float(in_order.float().mean()) < 0.7  # half, and a sixth of the others


def test_a_share_of_the_crops_changes_in_whole_steps_of_eight_bits() -> None:
    x = crops(400)
    changed = recoloured(x, 0.25, torch.Generator().manual_seed(3))
    assert ((changed >= 0) & (changed <= 1)).all()
    assert torch.equal((changed * 255).round() / 255, changed)
    assert 70 < int((changed != x).flatten(1).any(1).sum()) < 130
    again = recoloured(x, 0.25, torch.Generator().manual_seed(3))
    assert torch.equal(changed, again)


def test_no_share_changes_nothing() -> None:
    x = crops(5)
    assert torch.equal(recoloured(x, 0.0, torch.Generator()), x)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_run_changes_its_share_of_the_crops(share: float, image_folder: Path, small_model: Path) -> None:
    run = FidelityRun(gigapixels=1.0, batch=100, crop=64, graphics=0, colours=share)
    objective = Fidelity(run, image_folder, torch.device("cpu"), init=small_model)
    objective.training.pixels.fill_(255)
    x, *_ = objective.batch()
    changed = int((x.amin((1, 2, 3)) < 1).sum())
    assert changed in {0.0: range(1), 0.5: range(35, 66), 1.0: range(99, 101)}[share]
