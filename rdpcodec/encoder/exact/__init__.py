"""Drawn pixels: which of them the exact layer holds, how exactly, and what is left to the networks."""
