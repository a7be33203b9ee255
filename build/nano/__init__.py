"""Nano: a small Gemma 4 that briefs on tables of market data, and the texts that it learns from."""
