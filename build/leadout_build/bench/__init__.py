"""`leadout bench`: what a model costs on this machine; cli/bench.py is the command."""
