"""The networks of the codec, as differentiable torch modules.

Everything with parameters lives here and nothing else: no bytes, no files, no entropy coder. Needs only torch
and NumPy, so that training runs on a bare machine.
"""
