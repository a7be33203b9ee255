"""Building the site: kernels, the browser's Python, what others made, all into dist/."""
