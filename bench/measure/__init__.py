"""Measuring: images and codecs in, stored figures out."""
