"""Several requests on one device: who takes part in which pass, and who gets which tokens.

lane.py     what the host knows about a lane's keys and values
stream.py   a request on its way: prompt, passes, tokens
batch.py    how many tokens a cycle drafts for several streams
loop.py     the loop that submits all passes and hands out their tokens
"""
