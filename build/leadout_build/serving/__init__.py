"""The built site and the models over HTTP, and a headless Chromium that opens them."""
