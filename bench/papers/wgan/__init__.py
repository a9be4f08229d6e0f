"""Restorers of small pictures trained against Wasserstein critics, many at once: data, networks, training."""
