"""A Lightning network in a box: its state, the HTLCs that move through it, and the world that drives both."""
