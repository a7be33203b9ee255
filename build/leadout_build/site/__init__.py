"""Builds the site into dist/: kernels, the browser's Python, and third-party files."""
