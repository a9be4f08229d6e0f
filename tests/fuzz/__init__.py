"""Fuzzing that reaches the inside: damage behind repaired checksums, hostile sources, hostile metadata.

`python -m tests.fuzz` runs as many cases as it is told to, `tests/test_fuzz.py` a few thousand fixed ones.
"""
