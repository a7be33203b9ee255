"""Devices: the protocol, and the NumPy device with the kernels' twins."""
