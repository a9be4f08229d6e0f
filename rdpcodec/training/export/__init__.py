"""Turns a run into weights for release (integers, tables, graphs, model card), and retires old weights."""
