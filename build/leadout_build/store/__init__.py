"""Models: those in the box, the store on this machine, and where else they come from by name."""
