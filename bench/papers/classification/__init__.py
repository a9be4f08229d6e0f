"""Liu, Zhang & Xiong's experiments (2019): restored images that a classifier is asked about."""
