"""Symbols ⇄ bytes, and the integer arithmetic that both sides must agree on to the last bit."""
