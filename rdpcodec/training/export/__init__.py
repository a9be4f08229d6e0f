"""From a run to weights that can be released: integers, tables, graphs, model card; and what becomes of old
ones.
"""
