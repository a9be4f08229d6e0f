"""Training of the released weights.

Needs torch, NumPy, Pillow and safetensors only, so that it runs on a bare machine.
"""
