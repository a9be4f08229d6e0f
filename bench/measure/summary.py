"""What is stored about a codec that was measured on a set of images: means, distances, and their errors."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.measure.cache import Job, Point, load_cached
from bench.metrics.image_metrics import SetFeatures, distances

# At most this many groups of images are left out in turn for the errors of distances. The errors are then
# known to within a quarter.
JACKKNIFE_GROUPS = 8


def summary(jobs: list[Job], originals: list[Job]) -> dict[str, Any]:
    """A codec's points: per image, means, and distances between distributions with standard errors.

    There are no means of what only some of the images have, such as answers to the labels of some.
    """
    measured = [load_cached(job) for job in jobs]
    references = [load_cached(job)[Point(0).key][1] for job in originals]
    points = {}
    for point in jobs[0].points:
        facts = [image[point.key][0] for image in measured]
        features = [image[point.key][1] for image in measured]
        points[point.key] = {
            "quality": point.quality,
            **({} if point.realism is None else {"realism": point.realism}),
            **{
                name: float(np.mean([f[name] for f in facts]))
                for name in facts[0]
                if all(name in f for f in facts)
            },
            **distances(references, features),
            "standard_errors": standard_errors(references, features),
        }
    images = {
        job.name: {key: facts for key, (facts, _) in image.items() if key in points}
        for job, image in zip(jobs, measured, strict=True)
    }
    return {"points": points, "images": images}


def standard_errors(references: list[SetFeatures], features: list[SetFeatures]) -> dict[str, float]:
    """How much other images of the same kind would change the distances, as one standard deviation.

    It is a jackknife over groups of images, since a bootstrap's repeated images make distributions look
    further apart than they are. Empty for fewer than three images.
    """
    groups = min(len(features), JACKKNIFE_GROUPS)
    if groups < 3:
        return {}
    left_out = []
    for group in range(groups):
        kept = [i for i in range(len(features)) if i % groups != group]
        left_out.append(distances([references[i] for i in kept], [features[i] for i in kept]))
    scale = (groups - 1) ** 0.5
    known = set.intersection(*(set(found) for found in left_out))
    return {name: scale * float(np.std([d[name] for d in left_out])) for name in sorted(known)}
