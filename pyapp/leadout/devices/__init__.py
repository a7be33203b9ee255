"""Devices: the protocol, and the NumPy device with the ops' meaning."""
