"""Leadout: Gemma in a browser tab. Python decides, the device computes."""

__version__ = "0.1.0"
