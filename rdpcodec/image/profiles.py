"""ICC profiles made from what a PNG without one says about colour: primaries and a transfer curve.

A profile here is the smallest that littleCMS takes: three colorants and a parametric curve (ICC.1:2010,
§8.4).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

Point = tuple[float, float]
"""CIE 1931 chromaticity, x and y."""

_D50 = np.array([0.9642, 1.0, 0.8249])  # the white of the profile connection space
# Bradford's cone responses, in which whites are adapted (ICC.1:2010, annex E).
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
D65: Point = (0.3127, 0.3290)


@dataclass(frozen=True)
class Primaries:
    """Chromaticities of white and of the three colorants."""

    white: Point
    red: Point
    green: Point
    blue: Point

    def near(self, other: Primaries) -> bool:
        """Whether two sets are the same up to the rounding of files: no coordinates 0.002 or more apart."""
        pairs = zip(self._points().ravel(), other._points().ravel(), strict=True)
        return all(abs(a - b) < 0.002 for a, b in pairs)

    def colorants(self) -> np.ndarray:
        """XYZ of red, green and blue, adapted to D50, float64 `[3, 3]`, one per row. Raises `ValueError` for
        points that span no colours.
        """
        points = self._points()
        if not (np.isfinite(points).all() and (points >= 0).all() and (points[:, 1] > 0.01).all()):
            raise ValueError("the chromaticities are no colours")
        xyz = np.stack([points[:, 0], points[:, 1], 1 - points.sum(axis=1)], axis=1) / points[:, 1:]
        white, colorants = xyz[0], xyz[1:]
        if abs(np.linalg.det(colorants)) < 1e-6:
            raise ValueError("the chromaticities lie on a line")
        scaled = np.linalg.solve(colorants.T, white)[:, None] * colorants
        gains = (_BRADFORD @ _D50) / (_BRADFORD @ white)
        adapted = np.linalg.inv(_BRADFORD) @ np.diag(gains) @ _BRADFORD
        return scaled @ adapted.T

    def _points(self) -> np.ndarray:
        return np.array([self.white, self.red, self.green, self.blue])


SRGB = Primaries(D65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
# The numbers of ITU-T H.273, table 2, that images use.
CODED_PRIMARIES = {
    1: SRGB,
    5: Primaries(D65, (0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: Primaries(D65, (0.63, 0.34), (0.31, 0.595), (0.155, 0.07)),
    7: Primaries(D65, (0.63, 0.34), (0.31, 0.595), (0.155, 0.07)),
    9: Primaries(D65, (0.708, 0.292), (0.17, 0.797), (0.131, 0.046)),
    12: Primaries(D65, (0.68, 0.32), (0.265, 0.69), (0.15, 0.06)),
}

Curve = tuple[float, ...]
"""Parameters of an ICC parametric curve: (g,) for Y = X^g, or (g, a, b, c, d) for (aX + b)^g from d on, cX
below.
"""

SRGB_CURVE: Curve = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_VIDEO: Curve = (1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
# The numbers of ITU-T H.273, table 3. 16 and 18, PQ and HLG, are for displays that are brighter than white.
CODED_CURVES: dict[int, Curve] = {
    1: _VIDEO,
    4: (2.2,),
    5: (2.8,),
    6: _VIDEO,
    8: (1.0,),
    13: SRGB_CURVE,
    14: _VIDEO,
    15: _VIDEO,
}
HIGH_DYNAMIC_RANGE = {16: "PQ", 18: "HLG"}


def made_profile(primaries: Primaries, curve: Curve) -> bytes:
    """An RGB display profile, about 400 bytes. Raises `ValueError` for primaries that span no colours."""
    tags = {b"wtpt": _xyz(_D50), b"desc": _text("made from the file's own colour chunks")}
    for channel, colorant in zip((b"r", b"g", b"b"), primaries.colorants(), strict=True):
        tags[channel + b"XYZ"] = _xyz(colorant)
        tags[channel + b"TRC"] = _parametric(curve)
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    kinds = (b"mntr", b"RGB ", b"XYZ ", bytes(12), b"acsp")  # a display's, from RGB to XYZ, without a date
    header = struct.pack(">I4x4s4s4s4s12s4s28x", start + len(body), b"\x04\x30\0\0", *kinds)
    return header + _fixed(*_D50) + bytes(128 - len(header) - 12) + table + body


def _fixed(*values: float) -> bytes:
    """s15Fixed16 numbers."""
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def _xyz(values: np.ndarray) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(*values)


def _parametric(curve: Curve) -> bytes:
    kind = {1: 0, 5: 3}[len(curve)]
    return b"para" + bytes(4) + struct.pack(">HH", kind, 0) + _fixed(*curve)


def _text(words: str) -> bytes:
    encoded = words.encode("utf-16-be")
    return b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(encoded), 28) + encoded
