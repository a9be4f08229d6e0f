"""The schedule of `large`, part by part, and the verdict on whether it is worth going on with."""
