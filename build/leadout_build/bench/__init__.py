"""`leadout bench`: what a model costs on this machine; command.py is the command."""
