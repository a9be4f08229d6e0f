"""SSIMULACRA2 v2.1 of 8-bit images, in NumPy alone, and the numbers it is made of.

After Sneyers, SSIMULACRA 2, 2022-23 (github.com/cloudinary/ssimulacra2). Windows here are true Gaussians.
Those of the C++ program are recursive, and its scores 0.05 to 1.1 lower. `eyes` has the same in torch, with
the same numbers, for where gradients are needed.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rdpcodec.metrics.pair import check_pair

# From JPEG XL's XYB: the cones' shares of linear red, green and blue, and the bias under their cube roots.
CONES = (
    (0.30, 0.622, 0.078),
    (0.23, 0.692, 0.078),
    (0.24342268924547819, 0.20476744424496821, 0.55180986650955360),
)
BIAS = 0.0037930732552754493
# All windows are Gaussians of this deviation, cut off at five pixels.
SIGMA = 1.5
RADIUS = 5
MINIMUM_SIDE = 8
# For SSIM of images whose range is about 1.
C2 = 0.03**2
# The weights of SSIMULACRA2 v2.1 as published: for X, Y and B; for six scales from the finest on; for the
# 1-norm and the 4-norm of each map; for structure (SSIM), added edges (ringing, blocks) and lost edges
# (blur). Zeros are meant as such: the weights were fitted without negative ones.
WEIGHTS = (
    (
        ((0.0, 0.0007376606707406586, 0.0), (0.0, 0.0007793481682867309, 0.0)),
        (
            (0.0, 0.0004371155730107379, 0.0),
            (1.1041726426657346, 0.00066284834129271, 0.00015231632783718752),
        ),
        ((0.0, 0.0016406437456599754, 0.0), (1.8422455520539298, 11.441172603757666, 0.0)),
        ((0.0007989109436015163, 0.000176816438078653, 0.0), (1.8787594979546387, 10.94906990605142, 0.0)),
        (
            (0.0007289346991508072, 0.9677937080626833, 0.0),
            (0.00014003424285435884, 0.9981766977854967, 0.00031949755934435053),
        ),
        ((0.0004550992113792063, 0.0, 0.0), (0.0013648766163243398, 0.0, 0.0)),
    ),
    (
        ((0.0, 0.0, 0.0), (7.466890328078848, 0.0, 17.445833984131262)),
        ((0.0006235601634041466, 0.0, 0.0), (6.683678146179332, 0.00037724407979611296, 1.027889937768264)),
        ((225.20515300849274, 0.0, 0.0), (19.213238186143016, 0.0011401524586618361, 0.001237755635509985)),
        ((176.39317598450694, 0.0, 0.0), (24.43300999870476, 0.28520802612117757, 0.0004485436923833408)),
        ((0.0, 0.0, 0.0), (34.77906344483772, 44.835625328877896, 0.0)),
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
    ),
    (
        ((0.0, 0.0008680556573291698, 0.0), (0.0, 0.0, 0.0)),
        ((0.0, 0.0005313191874358747, 0.0), (0.00016533814161379112, 0.0, 0.0)),
        ((0.0, 0.0, 0.0), (0.0004179171803251336, 0.0017290828234722833, 0.0)),
        ((0.0020827005846636437, 0.0, 0.0), (8.826982764996862, 23.19243343998926, 0.0)),
        (
            (95.1080498811086, 0.9863978034400682, 0.9834382792465353),
            (0.0012286405048278493, 171.2667255897307, 0.9807858872435379),
        ),
        ((0.0, 0.0, 0.0), (0.0005130064588990679, 0.0, 0.00010854057858411537)),
    ),
)
# The factor that scales the weighted sum. The score is 100 minus a power of a polynomial of the result.
SCALE = 0.9562382616834844
POLYNOMIAL = (2.326765642916932, -0.020884521182843837, 6.248496625763138e-05)
POWER = 0.6276336467831387
# Channels with a weight that counts, 0.01 or more, at each scale. X and B at the finest scale, which would be
# half of the work, are not among them, nor is anything at the sixth. The rest moves no score by a hundredth.
FELT = (slice(1, 2), slice(0, 2), slice(0, 2), slice(0, 3), slice(0, 3))
# Rows that are compared at once: maps of a whole image would take 100 bytes a pixel.
_STRIP = 128
_KERNEL = np.exp(-0.5 * (np.arange(RADIUS + 1) / SIGMA) ** 2)
_KERNEL = (_KERNEL / (2 * _KERNEL.sum() - 1)).astype(np.float32)  # from the middle on: it is symmetric
_VALUES = np.arange(256) / 255
_LINEAR = np.where(_VALUES <= 0.04045, _VALUES / 12.92, ((_VALUES + 0.055) / 1.055) ** 2.4).astype(np.float32)


def ssimulacra2(reference: np.ndarray, decoded: np.ndarray) -> float:
    """The score of a decoded image: 100 for equal images, 90 where no difference is seen, 30 for low quality;
    it may be negative.

    Both uint8 `[H, W, 3]`, sRGB; not a number where a side is under 8 pixels. Sides below 57 lack coarse
    scales. Raises `UsageError` for arrays of other types, or of different shapes.
    """
    check_pair(reference, decoded)
    if min(reference.shape[:2]) < MINIMUM_SIDE:
        return float("nan")
    if np.array_equal(reference, decoded):
        return 100.0  # and not 99.98, by rounding
    total = 0.0
    for scale, (light, other) in enumerate(zip(_scales(reference), _scales(decoded), strict=True)):
        channels = range(*FELT[scale].indices(3))
        means = _mean_errors(light, other, channels)
        for channel, (first_means, fourth_means) in zip(channels, means, strict=True):
            firsts, fourths = WEIGHTS[channel][scale]
            total += float(firsts @ first_means + fourths @ fourth_means**0.25)
    return _score(total * SCALE)


def _mean_errors(light: np.ndarray, other: np.ndarray, channels: range) -> np.ndarray:
    """Means of the first and fourth powers of the errors of each channel, `[channel, power, map]`."""
    height, width = light.shape[1:]
    sums = np.zeros((len(channels), 2, 3))
    for top in range(0, height, _STRIP):
        # With the rows that the windows reach. Those at an edge that is not the image's are left out again.
        start = max(top - RADIUS, 0)
        rows, inner = slice(start, top + _STRIP + RADIUS), slice(top - start, top - start + _STRIP)
        pairs = zip(_xyb(light[:, rows], channels), _xyb(other[:, rows], channels), strict=True)
        for channel_sums, (original, judged) in zip(sums, pairs, strict=True):
            for number, errors in enumerate(_errors(original, judged)):
                first, fourth = errors[inner], (errors[inner] ** 2) ** 2
                channel_sums[:, number] += first.sum(dtype=np.float64), fourth.sum(dtype=np.float64)
    return sums / (height * width)


def _score(s: float) -> float:
    one, two, three = POLYNOMIAL
    return float(100 - 10 * max(one * s + two * s**2 + three * s**3, 0) ** POWER)


def _scales(image: np.ndarray) -> Iterator[np.ndarray]:
    """An image, uint8 `[H, W, 3]`, in linear light, float32 `[3, H, W]`, at full and halved resolutions."""
    # Channel by channel: NumPy makes 8 bytes of each value that it looks up.
    light = np.stack([_LINEAR[image[:, :, channel]] for channel in range(3)])
    for _ in FELT:
        yield light
        if min(light.shape[1:]) < MINIMUM_SIDE:
            return
        light = np.stack([_halved(channel) for channel in light])


def _halved(x: np.ndarray) -> np.ndarray:
    """Means of 2×2 pixels, float32 `[H, W]`; an odd side repeats its last line."""
    x = np.pad(x, ((0, x.shape[0] % 2), (0, x.shape[1] % 2)), mode="edge")
    return (x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]) / 4


def _xyb(light: np.ndarray, channels: range) -> Iterator[np.ndarray]:
    """Channels of XYB, scaled by SSIMULACRA2 to be positive and of about one range."""
    bias = np.float32(BIAS)
    long, middle = (np.cbrt(_cone(light, number) + bias) - np.cbrt(bias) for number in (0, 1))
    y = (long + middle) / 2
    for channel in channels:
        if channel == 0:
            yield 7 * (long - middle) + np.float32(0.42)
        elif channel == 1:
            yield y + np.float32(0.01)
        else:
            yield np.cbrt(_cone(light, 2) + bias) - np.cbrt(bias) - y + np.float32(0.55)


def _cone(light: np.ndarray, number: int) -> np.ndarray:
    return np.einsum("c,chw->hw", np.array(CONES[number], np.float32), light)


def _errors(original: np.ndarray, judged: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Maps of errors of structure, of added edges and of lost edges, float32 `[H, W]` each."""
    mean, other = _blurred(original), _blurred(judged)
    variances = _blurred(original**2) - mean**2 + _blurred(judged**2) - other**2
    covariance = _blurred(original * judged) - mean * other
    alike = (1 - (mean - other) ** 2) * (2 * covariance + np.float32(C2)) / (variances + np.float32(C2))
    edges = (1 + np.abs(judged - other)) / (1 + np.abs(original - mean)) - 1
    return np.maximum(1 - alike, 0), np.maximum(edges, 0), np.maximum(-edges, 0)


def _blurred(x: np.ndarray) -> np.ndarray:
    """Gaussian means, float32 `[H, W]`; images are black beyond their borders."""
    for _ in range(2):  # down the columns, then along the rows
        padded = np.pad(x, ((RADIUS, RADIUS), (0, 0)))
        shifted = [padded[i : i + len(x)] for i in range(2 * RADIUS + 1)]
        x = _KERNEL[0] * x
        for i, weight in enumerate(_KERNEL[1:], 1):
            x += weight * (shifted[RADIUS - i] + shifted[RADIUS + i])
        x = np.ascontiguousarray(x.T)
    return x
