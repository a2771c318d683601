"""Payments in work: what their sessions say is done, and what comes of it is told to them."""
