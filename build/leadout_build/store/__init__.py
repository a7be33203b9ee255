"""Models: the built-in ones, the store on this machine, and names on the hub."""
