"""How far a decoded image is from the original, and how natural it looks."""
