"""Finds, verifies and reads the weights that ship with the package. Training writes them."""
