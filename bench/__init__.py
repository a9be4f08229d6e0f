"""The bench measures what a bit buys with this codec and with the others that a user would pick.

`python -m bench --help`.
"""
