"""The three papers that the project grew from, reproduced."""
