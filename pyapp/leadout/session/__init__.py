"""Requests on one device: who takes part in which pass, and what each of them brings.

lane.py     what the host knows of a lane's keys and values
stream.py   a request on its way: prompt, passes, tokens
batch.py    how many tokens the streams of a cycle have drafted
loop.py     the loop that submits all passes and hands out what they bring
"""
