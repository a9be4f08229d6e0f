"""Restorers of small images trained against Wasserstein critics, many at once: data, networks, training."""
