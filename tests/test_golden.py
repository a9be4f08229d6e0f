"""Files of released weights, made once and kept: their symbols and pixels must come out the same for ever."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rdpcodec.codec import Codec
from rdpcodec.format import container

FOLDER = Path(__file__).parent / "golden"
RECORDS = json.loads((FOLDER / "symbols.json").read_text())


@pytest.mark.parametrize("name", RECORDS)
def test_a_file_made_by_an_older_version_still_holds_the_same_symbols(name):
    codec = Codec(RECORDS[name]["model"])
    (tiles,) = codec.decode_symbols([container.read((FOLDER / f"{name}.rdpc").read_bytes())])
    digest = hashlib.sha256()
    for tile in tiles:
        for array, kind in ((tile.hyper, "<i4"), (tile.tables, "u1"), (tile.residual, "<i4")):
            digest.update(array.astype(kind).tobytes())
    assert digest.hexdigest() == RECORDS[name]["symbols_sha256"]


@pytest.mark.parametrize("name", RECORDS)
def test_a_file_made_by_an_older_version_still_decodes_to_the_same_pixels(name):
    decoded = Codec(RECORDS[name]["model"]).decompress((FOLDER / f"{name}.rdpc").read_bytes())
    with Image.open(FOLDER / f"{name}.png") as golden:
        assert (decoded.mode, decoded.size) == (golden.mode, golden.size)
        difference = np.abs(np.asarray(decoded, int) - np.asarray(golden, int))
    # Another machine's sums may round a pixel the other way; nothing may move it further.
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01
