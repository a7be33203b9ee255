"""What each kind of file holds: histories in CSV, CoinGecko's JSON, tables of many assets.

`reading.py` tells them apart.
"""
