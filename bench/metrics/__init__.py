"""Measures of images: against an original, without one, and of sets of images."""
