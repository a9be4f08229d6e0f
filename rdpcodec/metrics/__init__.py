"""How far a decoded picture is from the original, and how natural it looks."""
