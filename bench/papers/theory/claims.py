"""What the three papers claim, computed and checked: one function a paper, returning curves and claims."""

from __future__ import annotations

import numpy as np

from bench.papers.reproduction import Claim, Reproduction
from bench.papers.theory import classification as cdp
from bench.papers.theory import perception_distortion as pd
from bench.papers.theory import rate_distortion_perception as rdp
from bench.papers.theory.perception import kullback_leibler, total_variation, transport
from bench.papers.theory.shape import largest_concavity, largest_rise

# What solvers leave at most of a value that is 0.
SOLVER = 1e-6


def perception_distortion(p: float = 0.3, cells: int = 120, step: float = 0.05) -> Reproduction:
    """Blau & Michaeli 2018 on the discrete source in noise.

    p: P(X = ±1). cells: of Y. step: of the outputs' grid in the program for Wasserstein-2.
    """
    least, perfect = pd.mmse(p), pd.perfect_perception_mse(p)
    sampling = pd.posterior_sampling_mse(p)
    joint = pd.observe(p, cells)
    least_of_cells = pd.cells_mmse(joint)
    distortions = np.linspace(least_of_cells, 1.06 * perfect, 30)

    on_support = pd.outputs_on_support(joint)
    # At D = MMSE no mass lies on the source's alphabet and KL is infinite: its curve begins one step on.
    tv = pd.perception_function(joint, on_support, total_variation, distortions)
    kl = pd.perception_function(joint, on_support, kullback_leibler, distortions[1:])
    grid = np.linspace(-1, 1, round(2 / step) + 1)
    moving = transport((pd.SUPPORT[:, None] - grid) ** 2)
    # Rounding an output to one of its two neighbours, its mean kept, adds at most step²/4 to each square.
    rounding = step**2 / 4
    apart = np.linspace(least_of_cells + rounding, 1.06 * perfect, 24)
    squared = pd.perception_function(joint, np.tile(grid, (cells, 1)), moving, apart)
    floor = pd.wasserstein_perception(apart, least, perfect) ** 2
    ceiling = pd.wasserstein_perception(apart - rounding, least_of_cells, perfect) ** 2 + rounding
    outside = max(float(np.max(floor - squared)), float(np.max(squared - ceiling)), 0.0)

    near = perfect + np.array([-0.001, 0.001])  # the cells move it by less
    before, behind = pd.perception_function(joint, on_support, total_variation, near)
    measures = {"total variation": tv, "KL": kl, "squared Wasserstein-2": squared}
    rises = {name: largest_rise(values) for name, values in measures.items()}
    concavities = {name: largest_concavity(values) for name, values in measures.items()}
    law = pd.map_law(p)
    support = pd.priors(p)
    x = np.linspace(-0.999, 0.999, 401)
    claims = [
        Claim(
            "P(D) falls with D, for total variation, KL and Wasserstein-2",
            "largest rise 0",
            f"{max(rises.values()):.0e}",
            max(rises.values()) < SOLVER,
        ),
        Claim(
            "P(D) is convex where the distance is convex in its second argument",
            "largest excess over a chord 0",
            f"{max(concavities.values()):.0e}",
            max(concavities.values()) < SOLVER,
        ),
        Claim(
            "posterior sampling, whose perception is perfect, has twice the MMSE (3 dB)",
            "2",
            f"{sampling / least:.9f}",
            np.isclose(sampling, 2 * least, rtol=1e-8),
        ),
        Claim(
            "so perfect perception never needs more than twice the MMSE",
            "≤ 2",
            f"{perfect / least:.4f} ({10 * np.log10(perfect / least):.2f} dB)",
            perfect <= 2 * least,
        ),
        Claim(
            "the outputs of the MMSE estimate do not have the source's law",
            "> 0",
            f"total variation {tv[0]:.4f}: no output lies on −1, 0, 1",
            tv[0] > 1 - SOLVER,
        ),
        Claim(
            "nor do those of the MAP estimate",
            "> 0",
            f"P(±1) = {law[0]:.4f} for {p}, P(0) = {law[1]:.4f} for {1 - 2 * p:.1f}: total variation "
            f"{abs(law[1] - support[1]):.4f}",
            abs(law[1] - support[1]) > 0,
        ),
        Claim(
            "P(D) reaches 0 at D* + W₂²(X, X*), in every distance (Freirich et al. 2021)",
            f"{least + pd.mmse_to_source(p):.6f}",
            f"{perfect:.6f}; total variation {before:.4f} at 0.001 less, {behind:.0e} at 0.001 more",
            np.isclose(perfect, least + pd.mmse_to_source(p), rtol=1e-8) and behind < SOLVER < before,
        ),
        Claim(
            "for Wasserstein-2, P = √(D₀ − D*) − √(D − D*) (Freirich et al. 2021)",
            "inside the bounds that the grids imply",
            f"{outside:.0e} outside; {np.max(np.abs(squared - floor)[1:]):.4f} from it at most",
            outside < SOLVER,
        ),
    ]
    curves = {
        "p": p,
        "cells": cells,
        "output_step": step,
        "mmse": least,
        "mmse_of_cells": least_of_cells,
        "posterior_sampling_mse": sampling,
        "perfect_perception_mse": perfect,
        "map_mse": pd.map_mse(p),
        "map_law": law,
        "mmse_law": {"x": x, "density": pd.mmse_density(x, p)},
        "total_variation": {"distortion": distortions, "perception": tv},
        "kl_nats": {"distortion": distortions[1:], "perception": kl},
        "squared_wasserstein": {"distortion": apart, "perception": squared, "closed_form": floor},
    }
    return Reproduction(curves, claims)


def rate_distortion_perception(p: float = 0.1) -> Reproduction:
    """Blau & Michaeli 2019 on the Bernoulli and the Gaussian source. p: P(X = 1)."""
    hamming, coin = 1 - np.eye(2), np.array([1 - p, p])
    second = 2 * p * (1 - p)  # of D₂ at P = 0: from there on no rate is needed
    solved = [
        (d, bound, rdp.finite(coin, hamming, d, total_variation, bound))
        for d in np.linspace(0.01, second, 7)
        for bound in (0, p / 8, p / 4, p / 2, p, np.inf)
    ]
    worst = max(abs(rate - float(rdp.bernoulli(p, d, bound))) for d, bound, rate in solved)
    unbounded = max(
        abs(rate - float(rdp.binary_entropy(p) - rdp.binary_entropy(min(d, p))))
        for d, bound, rate in solved
        if np.isinf(bound)
    )
    axis_d, axis_p = np.linspace(0, 1.1 * second, 61), np.linspace(0, 1.2 * p, 49)
    coins = rdp.bernoulli(p, axis_d[:, None], axis_p)

    gauss_d, gauss_p = np.linspace(0.02, 2.1, 61), np.linspace(0, 0.5, 51)
    wasserstein = rdp.gaussian(gauss_d[:, None], rdp.wasserstein_least_deviation(gauss_p))
    divergence = rdp.gaussian(gauss_d[:, None], rdp.kl_least_deviation(gauss_p))
    twice = np.linspace(0.02, 2, 100)
    excess = rdp.gaussian(twice, 1.0) - rdp.gaussian(twice / 2, 0.0)

    realisms, rates = np.linspace(0, 1, 11), (0.25, 1.0, 3.0)
    off_curve = 0.0
    for rate in rates:
        mixed, perception = rdp.gaussian_mixed_decoders(rate, realisms)
        needed = rdp.gaussian(mixed, rdp.wasserstein_least_deviation(perception))
        off_curve = max(off_curve, float(np.max(np.abs(needed - rate))))

    # No assumption that X̂ is Gaussian: any law on a grid, from a Gaussian source cut to the same grid.
    points = np.linspace(-4, 4, 41)
    weights = np.exp(-(points**2) / 2) / np.exp(-(points**2) / 2).sum()
    squares = (points[:, None] - points) ** 2
    sampled = []
    for d, bound in ((0.3, 0.0), (0.3, 0.02), (0.6, 0.05), (1.2, 0.05), (0.5, np.inf)):
        closed = float(rdp.gaussian(d, rdp.wasserstein_least_deviation(bound)))
        sampled.append((d, bound, rdp.finite(weights, squares, d, transport(squares), bound), closed))
    apart = max(abs(found - closed) for *_, found, closed in sampled)

    surfaces = (coins, wasserstein, divergence)
    rise = max(largest_rise(surface) for surface in surfaces)
    concavity = max(largest_concavity(surface) for surface in surfaces)
    claims = [
        Claim(
            "R(D, P) falls with D and with P (Bernoulli; Gaussian with W₂² and with KL)",
            "largest rise 0",
            f"{rise:.0e} on grids of 61 × 49 and 61 × 51",
            rise < SOLVER,
        ),
        Claim(
            "R(D, P) is convex in (D, P)",
            "largest excess over a chord 0",
            f"{concavity:.0e}, over all pairs on the grids with their midpoints",
            concavity < SOLVER,
        ),
        Claim(
            "Bernoulli source, Hamming distortion, total variation: closed form in three regions",
            "equal to the program's optimum",
            f"{worst:.0e} bits apart at most, {len(solved)} points",
            worst < 1e-4,
        ),
        Claim(
            "without a bound on perception it is Shannon's function",
            "R(D, ∞) = H(p) − H(D)",
            f"{unbounded:.0e} bits apart at most",
            unbounded < 1e-4,
        ),
        Claim(
            "perfect perception costs rate at equal distortion",
            "R(D, 0) > R(D, ∞)",
            f"p = {p}, D = {p / 2:g}: {float(rdp.bernoulli(p, p / 2, 0)):.4f} bits for "
            f"{float(rdp.bernoulli(p, p / 2, np.inf)):.4f}",
            bool(rdp.bernoulli(p, p / 2, 0) > rdp.bernoulli(p, p / 2, np.inf)),
        ),
        Claim(
            "squared error: perfect perception at twice the distortion costs no rate (3 dB)",
            "R(D, 0) ≤ R(D/2, ∞)",
            f"Gaussian: the difference is between {excess.min():.4f} and {excess.max():.4f} bits",
            excess.max() < 1e-12,
        ),
        Claim(
            "Gaussian source, squared error, W₂²: closed form, Gaussian X̂ optimal (Zhang et al. 2021)",
            "equal to the program's optimum",
            f"{apart:.4f} bits apart at most on a grid of step 0.2, {len(sampled)} points",
            apart < 0.01,
        ),
        Claim(
            "one representation serves every perception bound: two decoders mixed stay on the curve "
            "(Zhang et al. 2021)",
            "rate as needed for (D, P)",
            f"{off_curve:.0e} bits apart at most, rates {', '.join(map(str, rates))}",
            off_curve < 1e-9,
        ),
    ]
    first_region, second_region = rdp.bernoulli_regions(p, axis_p)
    curves = {
        "bernoulli": {
            "p": p,
            "distortion": axis_d,
            "total_variation": axis_p,
            "bits": coins,
            "first_region_ends": first_region,
            "second_region_ends": second_region,
            "solver": [{"distortion": d, "perception": b, "bits": rate} for d, b, rate in solved],
        },
        "gaussian": {
            "distortion": gauss_d,
            "perception": gauss_p,
            "bits_wasserstein": wasserstein,
            "bits_kl": divergence,
            "solver": [
                {"distortion": d, "perception": b, "bits": found, "closed_form": closed}
                for d, b, found, closed in sampled
            ],
        },
    }
    return Reproduction(curves, claims)


def classification(noise: float = 1.0, count: int = 30) -> Reproduction:
    """Liu, Zhang & Xiong 2019 on the Gaussian mixture. noise: deviation of N. count: of cells."""
    gains = np.linspace(0.1, 1.2, 111)
    noises = sorted({0.5, noise, 2.0})
    linear = {
        f"{s:g}": {
            "distortion": cdp.linear_distortion(gains, s),
            "perception": cdp.linear_perception(gains, s),
            "error": cdp.linear_error(gains, s),
        }
        for s in noises
    }
    best = {f"{s:g}": cdp.best_gains(s) for s in noises}
    frontiers = {}
    for name, pair in (
        ("distortion-perception", ("distortion", "perception")),
        ("distortion-error", ("distortion", "classification")),
        ("perception-error", ("perception", "classification")),
    ):
        ends = best[f"{noise:g}"]
        between = np.linspace(ends[pair[0]], ends[pair[1]], 60)
        values = {
            "distortion": cdp.linear_distortion(between, noise),
            "perception": cdp.linear_perception(between, noise),
            "error": cdp.linear_error(between, noise),
        }
        first, second = name.split("-")
        frontiers[name] = {first: values[first], second: values[second]}
    trades = all(
        largest_rise(-first) < 1e-12 and largest_rise(second) < 1e-12
        for first, second in (tuple(curve.values()) for curve in frontiers.values())
    )
    apart = min(np.diff(sorted(ends.values())).min() for ends in best.values())

    problem = cdp.cells(noise, count)
    perceptions = np.linspace(0.0005, 0.0045, 9)
    least = cdp.least_distortions(problem, perceptions)
    distortions = np.linspace(least[-1], least[0] + 0.015, 13)[1:]
    errors = cdp.classification_function(problem, distortions, perceptions)
    free = cdp.classification_function(problem, np.array([2 * cdp.SECOND_MOMENT]), perceptions)[0]
    closed = np.array([cdp.unlimited_distortion_error(bound, noise) for bound in perceptions])
    floor = cdp.least_error(noise)
    at_mmse = float(cdp.mmse_estimate(np.array([cdp.THRESHOLD * (1 + noise**2)]), noise)[0])
    rise, concavity = largest_rise(errors), largest_concavity(errors)
    middle = best[f"{noise:g}"]
    claims = [
        Claim(
            "C(D, P) falls with D and with P",
            "largest rise 0",
            f"{rise:.0e}, {np.isfinite(errors).sum()} points over all denoisers",
            rise < SOLVER,
        ),
        Claim(
            "C(D, P) is convex in (D, P)",
            "largest excess over a chord 0",
            f"{concavity:.0e}",
            concavity < SOLVER,
        ),
        Claim(
            "X̂ = aY: distortion, perception and errors are not least at the same a",
            "three gains",
            f"{middle['distortion']:.4f}, {middle['perception']:.4f}, {middle['classification']:.4f} "
            f"(noise {noise:g})",
            apart > 1e-3,
        ),
        Claim(
            "X̂ = aY: between two of these gains one quantity falls as the other rises",
            "three trade-offs",
            "strictly, on all three" if trades else "not on all three",
            trades,
        ),
        Claim(
            "all three cannot be least at once",
            "C(D, P) > C(∞, ∞)",
            f"C = {np.nanmax(errors):.4f} at P = {perceptions[0]:g} and D = "
            f"{distortions[np.nanargmax(np.where(np.isfinite(errors[:, 0]), errors[:, 0], -1))]:.3f}, "
            f"C(∞, ∞) = {floor:.4f}",
            np.nanmax(errors) > floor + 1e-4,
        ),
        Claim(
            "C(∞, P) of the program against its closed form (ours)",
            "0 to 10⁻⁴ above, for the cells",
            f"{np.min(free - closed):.0e} to {np.max(free - closed):.0e}",
            np.all(free > closed - SOLVER) and np.max(free - closed) < 1e-4,
        ),
        Claim(
            "this source has no trade-off between distortion and errors alone (ours)",
            "E[X|Y] crosses t where Y's best threshold is",
            f"E[X|Y] = {at_mmse:.6f} there, t = {cdp.THRESHOLD:.6f}",
            np.isclose(at_mmse, cdp.THRESHOLD),
        ),
    ]
    curves = {
        "noise": noise,
        "cells": [len(problem.observed), len(problem.outputs)],
        "mmse_of_cells": problem.mmse(),
        "least_error": floor,
        "gains": gains,
        "linear": linear,
        "best_gains": best,
        "frontiers": frontiers,
        "all_denoisers": {
            "distortion": distortions,
            "perception": perceptions,
            "error": errors,
            "least_distortion": least,
        },
    }
    return Reproduction(curves, claims)
