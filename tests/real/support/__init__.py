"""Real nodes: a regtest network and what tests ask of it."""
