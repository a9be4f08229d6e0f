"""Blau & Michaeli's MNIST experiment (2019): encoder-decoder pairs over rates and weights of perception."""
