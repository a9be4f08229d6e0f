"""Reproductions of the three papers that the project grew from."""
