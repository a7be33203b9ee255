"""Nano's prompts: the system turn of its training, and the example table of the page.

Keep in step with static/market_table.js; tests/unit/test_market_table.py compares them.
"""

from __future__ import annotations

#: The system turn that Nano was trained with, and that the page sends.
NANO_SYSTEM = "You are Nano. You write briefs and answer questions about one market table."

EXAMPLE_TABLE_CSV = """\
asset,price,1d,7d,30d,vol,rsi,50d,200d
BTC,97412.50,+1.84%,+4.12%,+9.35%,1.22x,63.4,+6.20%,+21.75%
ETH,3285.17,+2.46%,+1.08%,-3.90%,0.94x,52.1,-1.35%,+8.42%
SOL,214.83,+5.31%,+12.67%,+18.04%,2.41x,74.8,+14.90%,+39.26%
XRP,2.4175,-0.62%,+3.55%,+27.41%,1.08x,66.0,+19.73%,+88.15%
ADA,0.8931,-2.17%,-4.83%,-6.29%,0.83x,41.7,-5.44%,+12.08%
DOGE,0.3412,-3.74%,-8.96%,-11.50%,1.37x,28.9,-12.61%,+17.33%
AVAX,38.46,+0.95%,-1.72%,+2.66%,0.76x,49.5,-0.48%,-3.97%
LINK,24.09,+3.08%,+7.24%,+5.87%,1.65x,58.3,+4.11%,+26.54%
fear-and-greed index: 68"""
