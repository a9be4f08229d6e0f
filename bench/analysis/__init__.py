"""Pure functions of stored figures: curves, BD-rates, volumes, checks."""
