"""What the three papers claim, computed and checked: one module for each paper."""
