"""Blau & Michaeli's generator (2018): denoisers of digits between least error and perfect perception."""
