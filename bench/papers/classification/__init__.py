"""Liu, Zhang & Xiong's experiments (2019): restored pictures that a classifier is asked about."""
