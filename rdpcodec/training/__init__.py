"""Training for the released weights.

It needs only torch, NumPy, Pillow and safetensors, so that it runs on a bare machine.
"""
